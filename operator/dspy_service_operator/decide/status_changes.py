"""Changes of a job's status, each computed from the status before it. `decide` chooses them.

Only the operator's fields are changed (`OPERATOR_FIELDS`); `status.run` belongs to the reporter.
"""

from datetime import datetime
from typing import Any, Protocol

from dspy_service_core.resource import conditions
from dspy_service_core.resource.conditions import (
    End,
    derive_phase,
    parse_time,
    precise_timestamp,
    timestamp,
    with_condition,
)
from dspy_service_core.resource.job import ObjectMeta
from dspy_service_core.resource.status import (
    MESSAGE_LENGTH,
    Attempt,
    ConditionStatus,
    ConditionType,
    EndedAttempt,
    OptimizationJobStatus,
    QueueStatus,
)
from dspy_service_operator.decide.attempt_end import AttemptEnd
from dspy_service_operator.decide.observed import AttemptJob, AttemptPod

OPERATOR_FIELDS = (
    "phase",
    "conditions",
    "message",
    "observed_generation",
    "attempt",
    "attempts",
    "retries_used",
    "active_seconds",
    "queue",
    "started_at",
    "completed_at",
)
SUSPENDED = "Suspended"
"""Reason of an attempt that was ended by a suspension. Such entries are dropped first when the list is full."""
_MOST_ENDED = 20
_ENDED_MESSAGE = 200


class Subject(Protocol):
    """The resource whose status changes, even one whose spec cannot be read."""

    @property
    def metadata(self) -> ObjectMeta: ...
    @property
    def status(self) -> OptimizationJobStatus: ...


class StatusDraft:
    """The status while one pass changes it."""

    def __init__(self, job: Subject, now: datetime) -> None:
        self._job = job
        self._now = now
        self._status = job.status

    @property
    def status(self) -> OptimizationJobStatus:
        """The changed status, with the phase that follows from its conditions."""
        return self._status.model_copy(
            update={
                "phase": derive_phase(self._status.conditions),
                "observed_generation": self._job.metadata.generation,
            }
        )

    def valid(self) -> "StatusDraft":
        return self._condition("Valid", "True", "Checked")

    def waiting(self, reason: str, message: str, position: int = 0) -> "StatusDraft":
        self._condition("Queued", "True", reason, message)
        if conditions.holds(self._status.conditions, "Started"):
            self._condition("Started", "False", reason, message)
        return self._set(message=message, queue=QueueStatus(position=position))

    def recorded(self, job: AttemptJob, pod: AttemptPod) -> "StatusDraft":
        """Records the attempt's pod: from now on only that pod may run user code and report."""
        attempt = Attempt(
            number=job.number,
            job_name=job.name,
            pod_name=pod.name,
            pod_uid=pod.uid,
            started_at=timestamp(job.created_at or self._now),
        )
        self.valid()._condition("Queued", "False", "Admitted")
        return self._set(attempt=attempt, queue=QueueStatus(position=0))

    def not_started(self, reason: str, message: str) -> "StatusDraft":
        return self._condition("Started", "False", reason, message)._set(message=message)

    def validating(self) -> "StatusDraft":
        return self._condition("Started", "True", conditions.VALIDATING, "The pod runs the job's checks.")._set(
            message=""
        )

    def running(self) -> "StatusDraft":
        self._condition("Started", "True", conditions.RUNNING, "The preflight has passed.")
        return self._set(message="", started_at=self._started_at())

    def attempt_ended(self, number: int, end: AttemptEnd, began_at: datetime | None) -> "StatusDraft":
        counted = end.verdict != "disrupted"
        ended = EndedAttempt(
            number=number,
            reason=end.reason,
            message=end.message[:_ENDED_MESSAGE],
            ended_at=timestamp(self._now),
            counted=counted,
        )
        took = max(0, int((self._now - began_at).total_seconds())) if began_at else 0
        return self._set(
            attempts=_with_room([*self._status.attempts, ended]),
            retries_used=self._status.retries_used + counted,
            active_seconds=self._status.active_seconds + took,
        )

    def unusable(self, message: str) -> "StatusDraft":
        return self._condition("Valid", "False", "Invalid", message)

    def finished(self, kind: End, reason: str, message: str) -> "StatusDraft":
        if conditions.holds(self._status.conditions, "Queued"):
            self._condition("Queued", "False", "Ended")
        if self._job.status.run.started_at:
            self._set(started_at=self._started_at())
        self._condition(kind, "True", reason, message)
        queue = QueueStatus(position=0) if self._status.queue else None
        ended = self._job.status.run.result.ended_at if self._job.status.run.result else ""
        return self._set(message=message, queue=queue, completed_at=self._bounded(ended))

    def _started_at(self) -> str:
        """When the preflight passed for the first time."""
        return self._status.started_at or self._bounded(self._job.status.run.started_at)

    def _bounded(self, reported: str | None) -> str:
        """A time by the runner's clock, which may be wrong, moved between the job's creation and now."""
        created = parse_time(self._job.metadata.creation_timestamp) or self._now
        return precise_timestamp(max(created, min(parse_time(reported) or self._now, self._now)))

    def _condition(self, kind: ConditionType, status: ConditionStatus, reason: str, message: str = "") -> "StatusDraft":
        changed = with_condition(
            self._status.conditions,
            kind,
            status,
            reason,
            message,
            now=self._now,
            generation=self._job.metadata.generation,
        )
        return self._set(conditions=changed)

    def _set(self, **fields: Any) -> "StatusDraft":
        if "message" in fields:  # the cluster's own words may be longer than the resource takes
            fields["message"] = fields["message"][:MESSAGE_LENGTH]
        self._status = self._status.model_copy(update=fields)
        return self


def patch_between(old: OptimizationJobStatus, new: OptimizationJobStatus) -> dict[str, Any]:
    """A merge patch of the operator's fields that differ; empty if none does. The first patch always has the phase."""
    changed = {name for name in OPERATOR_FIELDS if getattr(old, name) != getattr(new, name)}
    if not changed:
        return {}
    changed |= {"phase"} - old.model_fields_set
    return new.model_dump(mode="json", by_alias=True, include=changed)


def _with_room(attempts: list[EndedAttempt]) -> list[EndedAttempt]:
    """Drops suspensions first, because the retry policy counts all other entries."""
    while len(attempts) > _MOST_ENDED:
        oldest = next((entry for entry in attempts if entry.reason == SUSPENDED), attempts[0])
        attempts.remove(oldest)
    return attempts
