"""What the API keeps in memory of each job of the namespace: one small frozen record.

It has no rows, code, conditions or managed fields, because the cache keeps thousands of records. DSPy's own JSON
(kwargs, metrics) stays encoded, because answers need it only encoded. `from_resource.py` makes them of resources.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dspy_service_core.records.run import Progress, Result
from dspy_service_core.records.usage import Usage
from dspy_service_core.resource.adapters import Adapter
from dspy_service_core.resource.queue_order import Age, Rank
from dspy_service_core.resource.splits import Fractions
from dspy_service_core.resource.status import StatusWord

Json = bytes
"""Encoded JSON that can be put into an answer as it is."""


@dataclass(frozen=True, slots=True)
class TailEntry:
    """A log entry or event of the status; `body` is its JSON without the number."""

    n: int
    body: Json


@dataclass(frozen=True, slots=True)
class StreamTail:
    """What the status says of the logs or of the events: how many there are, and the newest ones."""

    count: int = 0
    tail: tuple[TailEntry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordIdentity:
    """The part of a record that the metadata alone tells."""

    name: str
    namespace: str
    uid: str
    version: str
    job_id: str
    called: str
    """What people call it: the name that was given to a job of the API, any other's own; empty where there is none."""
    store_id: str
    labels: Mapping[str, str]
    created_at: str
    age: Age
    kept_by: tuple[str, ...] = ()
    """Finalizers that keep the record of a deleted job; its content in the store may be gone already."""

    def arguments(self) -> dict[str, Any]:
        """The same fields as arguments of a record's constructor."""
        return {name: getattr(self, name) for name in RecordIdentity.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord(RecordIdentity):
    request_digest: str
    queue_order: Rank | None
    """None when the job does not wait for a slot."""
    status: StatusWord
    finished: bool
    suspended: bool
    stop: str
    """What `spec.stop` asks: Cancel, KeepBest or nothing."""
    message: str
    """The operator's message, else the reporter's: while the job runs, what keeps it waiting, or the last event's
    name."""
    note: str
    """Its submitter's."""
    notice: str
    """What the run waits for, such as a rate limit; empty where it waits for nothing."""
    started_at: str | None
    completed_at: str | None
    attempted: bool
    """Whether an attempt was made, so that the store may hold something of it."""
    module_name: str
    module_kwargs: Json
    optimizer_name: str
    optimizer_kwargs: Json
    compile_kwargs: Json
    model_name: str
    dataset_rows: int | None
    fractions: Fractions
    shuffle: bool
    split_column: str
    """Empty where shares split the rows."""
    adapter: Adapter
    budget: Json
    """Its caps by the contract's names; null where it has none."""
    seed: int
    """The seed that is used: given, drawn by the API, or derived from the resource's name."""
    progress: Progress
    usage: Usage
    metrics: Json
    events: StreamTail
    logs: StreamTail
    candidates: StreamTail
    end: Result | None
    metric_name: str | None
    """Name of the metric function, read from the spec; only for a job that ended without a result of its run."""

    @property
    def keeps_result(self) -> bool:
        """Whether scores and program are answered: after a success, and after a failure that came when the program was
        finished."""
        return self.status == "success" or (
            self.status == "failed" and self.end is not None and self.end.artifact is not None
        )

    @property
    def settled(self) -> bool:
        """Whether nothing more will come, because the run itself reported its end. (Of a run that merely vanished, logs
        may still be on their way.)"""
        return self.finished and self.end is not None and not self.kept_by
