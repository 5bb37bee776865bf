"""What one pass over a job may do: create or delete one Job, patch the status once, set one label, and post Events."""

from dataclasses import dataclass
from typing import Literal

from dspy_service_core.resource.status import OptimizationJobStatus


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
    """The status as it should be; of it, only fields of the operator that have changed are written."""
    mark_finished: bool = False
    release_slot: bool = False
    wants: Literal["", "prerequisites", "fresh", "words"] = ""
    """What must be read before anything can be decided; then all other fields are empty."""
    requeue_after: float | None = None
    notes: tuple[Note, ...] = ()
