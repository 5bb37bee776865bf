"""Reads the job from `/job/in`, once the reporter has marked it as complete."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from dspy_service_core.estimate.kept import read_kept
from dspy_service_core.resource import names
from dspy_service_core.resource.job import OptimizationJobSpec
from dspy_service_core.resource.sources import INITIAL, JOINED, sources_of
from dspy_service_core.resource.targets import Targets
from dspy_service_core.storage import pod_files
from dspy_service_runner.optimizer.failures import JobFailed

_POLL_SECONDS = 0.005
_PATIENT_AFTER_SECONDS = 10.0
_PATIENT_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Job:
    job_id: str
    name: str
    namespace: str
    attempt: int
    spec: OptimizationJobSpec
    targets: Targets
    code: Mapping[str, str]
    """The text of each code source, by the source's name."""
    files: Mapping[str, str] = field(default_factory=dict)
    """The program's files, by their paths below its folder."""
    initial: Mapping[str, Any] | None = None
    """The program state to begin with."""
    joined: list[Any] | None = None
    """Programs of earlier jobs, each as its artifact has it."""
    estimate: dict[str, Any] | None = None
    """What was said at the submit that the job will call."""

    @property
    def seed(self) -> int:
        """The seed that was given or drawn; else one derived from the job, which is the same in every attempt."""
        if self.spec.split.seed is not None:
            return self.spec.split.seed
        return names.derived_seed(self.namespace, self.job_id)


def wait_until_ready(
    folder: Path,
    timeout: float,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Polls often at first, so that a prewarmed process starts at once, and less often later, to save CPU. False if the
    job is refused or does not come within `timeout` seconds."""
    ready, refused, start = folder / pod_files.READY, folder / pod_files.REFUSED, now()
    while not ready.exists():
        waited = now() - start
        if waited > timeout or refused.exists():
            return False
        sleep(_POLL_SECONDS if waited < _PATIENT_AFTER_SECONDS else _PATIENT_POLL_SECONDS)
    return True


def read_job(folder: Path) -> Job:
    document = orjson.loads((folder / pod_files.JOB).read_bytes())
    spec = document["spec"]
    sources = sources_of(spec)
    texts = {source.name: source.code or "" for source in sources if source.file is None}
    state, joined = texts.pop(INITIAL, None), texts.pop(JOINED, None)
    return Job(
        job_id=document["jobId"],
        name=document["name"],
        namespace=document["namespace"],
        attempt=document["attempt"],
        spec=OptimizationJobSpec.without_content(spec),
        targets=Targets.model_validate(document["targets"]),
        code=texts,
        files={s.file: (folder / s.mounted).read_bytes().decode() for s in sources if s.file is not None},
        initial=None if state is None else orjson.loads(state),
        joined=None if joined is None else orjson.loads(joined),
        estimate=read_kept(document.get("estimate")),
    )


def read_rows(folder: Path) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate((folder / pod_files.ROWS).read_bytes().splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise JobFailed("InvalidDataset", f"Row {number} of the dataset is not JSON: {error}.") from None
        if not isinstance(row, dict):
            raise JobFailed("InvalidDataset", f"Row {number} of the dataset is not an object.")
        rows.append(row)
    return rows
