"""What a request takes from earlier jobs. Whoever sends it must be allowed to read each of them: the same permission is
asked for as by `GET /jobs/{job_id}`, and before anything is said of the job."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import ValidationError

from dspy_service_api.answers.job_answers import Jobs
from dspy_service_core import nesting
from dspy_service_core.errors import JobNotFinished, JobNotFound, NoArtifact, UnusableRequest
from dspy_service_core.optimizers.families.joined import PROGRAMS
from dspy_service_core.programs import joined
from dspy_service_core.programs.joined import JoinedProgram
from dspy_service_core.resource import names
from dspy_service_core.storage import pod_files

MayRead = Callable[[str], Awaitable[str]]
"""Why the request's sender may not read the job of that id; empty if it may."""
State = Mapping[str, Any]


class NotPermitted(Exception):
    """The sender of a request may not read a job that it names."""


@dataclass(frozen=True, slots=True)
class EarlierJobs:
    """The jobs that one request names, as far as its sender may read them."""

    jobs: Jobs
    refusal: MayRead

    async def state(self, job_id: str, field: str) -> State:
        """The state of the job's program. `field` is the request's, which names the job."""
        files = await self._files(job_id, field, (pod_files.PROGRAM_STATE,), "to begin with")
        return _state(files, job_id, field)

    async def programs(self, given: object, field: str) -> tuple[list[JoinedProgram], bytes]:
        """Those of several jobs, each whole: its state and what makes it anew; and the same as JSON."""
        found: dict[str, JoinedProgram] = {}
        document: list[bytes] = []
        for job_id, where in ids_of(given, f"{field}.{PROGRAMS}"):
            known = names.job_id(names.resource_name(job_id))
            if known in found:
                raise UnusableRequest(f"{where}: job '{job_id}' is named twice: its program would only answer twice.")
            found[known], text = await self._program(job_id, known, where)
            document.append(text)
            if sum(map(len, document)) > joined.MOST_BYTES:
                raise UnusableRequest(
                    f"{where}: with the program of job '{job_id}' they take more than {joined.MOST_BYTES} bytes "
                    "together, and no more are allowed."
                )
        return list(found.values()), b"[%b]" % b",".join(document)

    async def _program(self, job_id: str, known: str, field: str) -> tuple[JoinedProgram, bytes]:
        files = await self._files(job_id, field, _OF_PROGRAM, "to join")
        if other := next((why for name, why in _NOT_JOINED.items() if name in files), ""):
            raise UnusableRequest(f"{field}: the program of job '{job_id}' cannot be joined: {other}.")
        document = {
            "job_id": known,
            "program_state": _state(files, job_id, field),
            "program_code": _text(files.get(pod_files.PROGRAM_SOURCE)),
            "signature_code": _text(files.get(pod_files.SIGNATURE_SOURCE)),
            "program_files": _object(files.get(pod_files.PROGRAM_FILES)),
            "arguments": _object(files.get(pod_files.ARGUMENTS)),
        }
        try:
            program = JoinedProgram.model_validate(document)
        except ValidationError:
            raise UnusableRequest(f"{field}: the program of job '{job_id}' cannot be read.") from None
        secrets = joined.mentioned(await self.jobs.secret_names(job_id), program)
        return program.model_copy(update={"secrets": secrets}), orjson.dumps({**document, "secrets": secrets})

    async def _files(self, job_id: str, field: str, wanted: tuple[str, ...], what_for: str) -> Mapping[str, bytes]:
        if refused := await self.refusal(job_id):
            raise NotPermitted(f"{field}: {refused}")
        try:
            return await self.jobs.program_files(job_id, wanted)
        except JobNotFound:
            raise JobNotFound(job_id, field) from None
        except JobNotFinished:
            raise UnusableRequest(f"{field}: job '{job_id}' has not finished yet: wait for its program.") from None
        except NoArtifact:
            raise UnusableRequest(f"{field}: job '{job_id}' made no program {what_for}.") from None


_OF_PROGRAM = (
    pod_files.PROGRAM_STATE,
    *pod_files.SUBMITTED_FILES,
    pod_files.NEAREST_ROWS,
)
_NOT_JOINED = {
    pod_files.NEAREST_ROWS: "it looks its demos up at each call, by an embedder of its own job",
    pod_files.JOINED_PROGRAMS: "it is an ensemble itself; name the jobs of its programs",
}


def ids_of(given: object, field: str) -> Iterator[tuple[str, str]]:
    """Each with its place in the request."""
    if not isinstance(given, list) or not joined.FEWEST <= len(given) <= joined.MOST:
        raise UnusableRequest(
            f"{field} must be a list of {joined.FEWEST} to {joined.MOST} ids of jobs, whose programs are joined."
        )
    for place, job_id in enumerate(given):
        if not isinstance(job_id, str) or not job_id:
            raise UnusableRequest(f"{field}[{place}] must be the id of a job.")
        yield job_id, f"{field}[{place}]"


def _state(files: Mapping[str, bytes], job_id: str, field: str) -> State:
    """The job's own code can write that file."""
    try:
        state = nesting.loads(files[pod_files.PROGRAM_STATE])
    except orjson.JSONDecodeError:
        state = None
    if not isinstance(state, dict):
        raise UnusableRequest(f"{field}: the program's state of job '{job_id}' cannot be read.")
    return state


def _text(content: bytes | None) -> str | None:
    return None if content is None else content.decode(errors="replace")


def _object(content: bytes | None) -> Any:
    """The reporter writes these: they are JSON."""
    return None if content is None else orjson.loads(content)
