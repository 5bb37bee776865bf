"""What the API knows of a job between the cluster and an answer: small, frozen, one for every job of the namespace.

Rows, code, conditions and managed fields are not in it, because the cache keeps thousands; what is DSPy's own JSON
(kwargs, metrics) stays encoded, as it only ever leaves encoded. `reading.py` makes them of resources.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from dspy_service_core.records.run import Progress, Result
from dspy_service_core.resource.job import StatusWord
from dspy_service_core.resource.queue_order import Age, Rank

Json = bytes
"""Encoded JSON, ready to be put into an answer."""


@dataclass(frozen=True, slots=True)
class TailEntry:
    """A log entry or event of the status; `body` is it without its number."""

    n: int
    body: Json


@dataclass(frozen=True, slots=True)
class StreamTail:
    """What the status says of the logs or the events: how many there are, and the newest."""

    count: int = 0
    tail: tuple[TailEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class Fractions:
    train: float
    val: float
    test: float


@dataclass(frozen=True, slots=True)
class JobRecord:
    name: str
    namespace: str
    uid: str
    version: str
    job_id: str
    store_id: str
    labels: Mapping[str, str]
    request_digest: str
    created_at: str
    age: Age
    queue_order: Rank | None
    """None when the job does not wait for a slot."""
    status: StatusWord
    finished: bool
    suspended: bool
    message: str
    """The operator's word, or the reporter's: while it runs, the last event's name, or what is wrong with the store."""
    started_at: str | None
    completed_at: str | None
    attempted: bool
    """Whether there may be anything of it in the store."""
    module_name: str
    module_kwargs: Json
    optimizer_name: str
    optimizer_kwargs: Json
    compile_kwargs: Json
    model_name: str
    dataset_rows: int | None
    fractions: Fractions
    shuffle: bool
    seed: int
    """The one used: given, drawn, or derived."""
    progress: Progress
    metrics: Json
    events: StreamTail
    logs: StreamTail
    end: Result | None
    metric_name: str | None
    """Of a job that ended without a word of its run, as far as the spec tells."""
    kept_by: tuple[str, ...] = ()
    """Finalizers that keep the record of a deleted job; what it had in the store may be gone already."""

    @property
    def settled(self) -> bool:
        """Nothing more comes: the run itself told its end. (One that only vanished may have words on their way.)"""
        return self.finished and self.end is not None and not self.kept_by
