"""Unfinished jobs and their attempts' Jobs and pods, in memory.

kopf's events, every list of the resync and the answers to our own writes are entered here, in any order: an object that
is older than the known one is ignored. Only what decisions need is kept; rows and code may be most of a job.
"""

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from pydantic import ValidationError

from dspy_service_core import nesting
from dspy_service_core.resource.job import ObjectMeta, OptimizationJob
from dspy_service_core.resource.sources import Source, with_sources
from dspy_service_core.resource.status import OptimizationJobStatus
from dspy_service_operator.decide.observed import AttemptJob, AttemptPod, Refusal, job_key, read_job, read_pod
from dspy_service_operator.queue.queue import Key

Object = dict[str, Any]


class _Child(Protocol):
    @property
    def uid(self) -> str: ...


C = TypeVar("C", bound=_Child)


@dataclass(slots=True)
class JobEntry:
    """`job` is None if the spec cannot be read. `raw` is dropped after the next pass."""

    metadata: ObjectMeta
    status: OptimizationJobStatus
    job: OptimizationJob | None
    unreadable: str = ""
    too_deep: str = ""
    """The message about a spec that is nested too deeply; empty for any other."""
    raw: Object | None = None
    refused: Refusal | None = None
    wrote_at: float = float("-inf")
    """When we last wrote its status, by the loop's clock."""


@dataclass(slots=True)
class _Children(Generic[C]):
    """All Jobs, or all pods, by the job that they belong to and by their own name."""

    read: Callable[[Mapping[str, Any]], C | None]
    known: dict[Key, dict[str, tuple[int, C]]] = field(default_factory=dict)

    def upsert(self, raw: Object) -> Key | None:
        key, name, version = job_key(raw), raw["metadata"]["name"], _version(raw)
        if key is None or (child := self.read(raw)) is None:
            return None
        own = self.known.setdefault(key, {})
        if name in own and own[name][0] >= version:
            return None
        own[name] = (version, child)
        return key

    def remove(self, raw: Object) -> Key | None:
        key, name = job_key(raw), raw["metadata"]["name"]
        own = self.known.get(key, {}) if key else {}
        if key is None or name not in own or own[name][1].uid != raw["metadata"].get("uid"):
            return None
        del own[name]
        if not own:
            del self.known[key]
        return key

    def retain_own(self, key: Key, listed: Set[str], version: str) -> None:
        """Forgets children of one job that a list of that version did not hold."""
        own = self.known.get(key, {})
        for name in [n for n, (known, child) in own.items() if child.uid not in listed and known <= int(version or 0)]:
            del own[name]

    def retain(self, listed: Set[str], until: int, namespace: str | None) -> set[Key]:
        """Forgets children that a list of that version did not hold; returns the keys of their jobs."""
        gone = [
            (key, name)
            for key, own in self.known.items()
            for name, (version, child) in own.items()
            if namespace in (None, key[0]) and version <= until and child.uid not in listed
        ]
        for key, name in gone:
            del self.known[key][name]
            if not self.known[key]:
                del self.known[key]
        return {key for key, _ in gone}

    def of(self, key: Key) -> list[C]:
        return [child for _, child in self.known.get(key, {}).values()]


class ClusterView:
    def __init__(self) -> None:
        self.jobs: _Children[AttemptJob] = _Children(read_job)
        self.pods: _Children[AttemptPod] = _Children(read_pod)
        self._entries: dict[Key, JobEntry] = {}
        self._closed: dict[Key, int] = {}
        """Ended jobs and the version at which we marked them finished, so that late events do not bring them back."""

    def get(self, key: Key) -> JobEntry | None:
        return self._entries.get(key)

    def known(self) -> Iterator[Key]:
        return iter(list(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def upsert(self, raw: Object, *, keep_raw: bool = False) -> Key | None:
        """Returns the key if the object is newer than what was known, else None."""
        key, version = key_of(raw), _version(raw)
        if version <= self._closed.get(key, -1):
            return None
        old = self._entries.get(key)
        same = old is not None and old.metadata.uid == raw["metadata"].get("uid")
        if old is not None and same and int(old.metadata.resource_version or 0) >= version:
            return None
        entry = _read(raw, old if same else None)
        entry.raw = raw if keep_raw else None
        if old is not None and same:
            entry.wrote_at, entry.refused = old.wrote_at, old.refused
        self._entries[key] = entry
        return key

    def remove(self, raw: Object) -> Key | None:
        key = key_of(raw)
        self._closed.pop(key, None)
        old = self._entries.get(key)
        if old is None or old.metadata.uid != raw["metadata"].get("uid"):
            return None
        del self._entries[key]
        return key

    def forget(self, key: Key) -> None:
        self._entries.pop(key, None)

    def close(self, raw: Object) -> None:
        """The job has ended and is marked finished, so the watch will not send it any more."""
        key = key_of(raw)
        self._entries.pop(key, None)
        self._closed[key] = _version(raw)

    def retain(self, listed: Set[str], until: int, namespace: str | None) -> set[Key]:
        """Forgets jobs that a list of that version did not hold, since they were deleted while nobody watched."""
        gone = {
            key
            for key, entry in self._entries.items()
            if namespace in (None, key[0])
            and int(entry.metadata.resource_version or 0) <= until
            and entry.metadata.uid not in listed
        }
        for key in gone:
            del self._entries[key]
        self._closed = {key: version for key, version in self._closed.items() if version > until}
        return gone


_RUN = ("attempt", "podUID", "stage", "startedAt", "result", "message")
"""The fields of `status.run` that decisions need; its log tail and events may be most of the object."""


def key_of(raw: Mapping[str, Any]) -> Key:
    return raw["metadata"].get("namespace", ""), raw["metadata"]["name"]


def _version(raw: Mapping[str, Any]) -> int:
    """Resource versions are comparable decimal numbers (KEP-5504); in every API server they always were."""
    return int(raw["metadata"].get("resourceVersion") or 0)


def _read(raw: Object, old: JobEntry | None) -> JobEntry:
    """`old` is the known entry of the same resource, if there is one."""
    light, too_deep = _light(raw), _too_deep(raw, old)
    try:
        if too_deep:
            return JobEntry(_metadata(raw), _status(light), None, too_deep, too_deep=too_deep)
        job = OptimizationJob.model_validate(light)
        return JobEntry(job.metadata, job.status, job)
    except ValidationError as exc:
        return JobEntry(_metadata(raw), _status(light), None, first_problem(exc))


def _metadata(raw: Object) -> ObjectMeta:
    return ObjectMeta.model_validate(raw["metadata"])


def _too_deep(raw: Object, old: JobEntry | None) -> str:
    """The answer for the same generation of the spec is reused, because every report of a running job comes by here."""
    if old is not None and old.metadata.generation == raw["metadata"].get("generation"):
        return old.too_deep
    path = nesting.deep_path(raw.get("spec") or {}, nesting.SPEC_DEPTH, "spec")
    return f"{path}: nested too deeply; a spec has at most {nesting.SPEC_DEPTH} levels." if path else ""


def _status(light: Object) -> OptimizationJobStatus:
    try:
        return OptimizationJobStatus.model_validate(light["status"])
    except ValidationError:
        return OptimizationJobStatus()


def first_problem(exc: ValidationError) -> str:
    first = exc.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"


def _light(raw: Object) -> Object:
    """The resource without the parts that only the runner and people read."""
    spec, status = raw.get("spec") or {}, raw.get("status") or {}
    run = status.get("run") or {}
    light_spec = with_sources(spec, Source.reference)
    light_spec["dataset"] = {name: value for name, value in (spec.get("dataset") or {}).items() if name != "rows"}
    light_run = {name: run[name] for name in _RUN if name in run}
    return {"metadata": raw["metadata"], "spec": light_spec, "status": {**status, "run": light_run}}
