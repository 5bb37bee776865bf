"""What a pass over one job may do: at most one act on a child, one status patch, one label, and its Events."""

from dataclasses import dataclass
from typing import Literal

from dspy_service_core.resource.job import OptimizationJobStatus


@dataclass(frozen=True, slots=True)
class CreateJob:
    """The batch/v1 Job of attempt `number`; it has `deadline_seconds` of the job's deadline left."""

    number: int
    deadline_seconds: int


@dataclass(frozen=True, slots=True)
class DeleteJob:
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Note:
    """A Kubernetes Event on the resource."""

    reason: str
    message: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    child: CreateJob | DeleteJob | None = None
    status: OptimizationJobStatus | None = None
    """The status as it should be; only the operator's own fields that differ are written."""
    mark_finished: bool = False
    release_slot: bool = False
    wants: Literal["", "prerequisites", "fresh", "words"] = ""
    """What must be looked at before anything can be decided; all else is empty then."""
    requeue_after: float | None = None
    notes: tuple[Note, ...] = ()
