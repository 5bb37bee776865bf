"""The situation of one job, which every rule of `decide` looks at, and the decisions that end a job."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from dspy_service_core.resource import conditions, names
from dspy_service_core.resource.job import OptimizationJob
from dspy_service_core.resource.status import Attempt
from dspy_service_operator.decide.attempt_end import AttemptEnd
from dspy_service_operator.decide.decision import Decision, DeleteJob, Note
from dspy_service_operator.decide.observed import AttemptJob, AttemptPod, Observed
from dspy_service_operator.decide.status_changes import StatusDraft
from dspy_service_operator.settings import OperatorSettings

_AFTERWARDS_SECONDS = 0.1
"""Added to waits, because a look at the exact end of a time limit could still find it not exceeded."""


@dataclass(frozen=True)
class Situation:
    """One job, what was observed of it, the time and the settings."""

    job: OptimizationJob
    seen: Observed
    now: datetime
    settings: OperatorSettings

    @cached_property
    def recorded(self) -> Attempt | None:
        """The current attempt, if its pod is recorded in the status."""
        attempt = self.job.status.attempt
        over = {entry.number for entry in self.job.status.attempts}
        return attempt if attempt and attempt.number not in over else None

    @cached_property
    def number(self) -> int:
        """Number of the current attempt, else of the next one."""
        if self.recorded:
            return self.recorded.number
        status = self.job.status
        return max([entry.number for entry in status.attempts] + [status.attempt.number if status.attempt else 0]) + 1

    @cached_property
    def child(self) -> AttemptJob | None:
        return self.seen.jobs.get(self.number)

    @cached_property
    def pod(self) -> AttemptPod | None:
        return self.seen.pod_of(self.child, self.recorded.pod_uid if self.recorded else "")

    @cached_property
    def under_way(self) -> bool:
        return self.child is not None or self.recorded is not None

    @cached_property
    def api_made(self) -> bool:
        return self.job.metadata.labels.get(names.LABEL_SUBMITTED_BY) == names.SUBMITTED_BY_API

    @property
    def usable(self) -> bool:
        """The prerequisites were just checked, and nothing is wrong or missing."""
        checked = self.seen.prerequisites
        return checked is not None and not checked.invalid and not checked.missing

    @cached_property
    def deadline_seconds(self) -> int:
        return self.job.spec.run.deadline_seconds or self.settings.deadline_seconds

    @cached_property
    def retries(self) -> int:
        asked = self.job.spec.run.retries
        return self.settings.retries if asked is None else asked

    @cached_property
    def began_at(self) -> datetime | None:
        if self.child is not None:
            return self.child.created_at
        return conditions.parse_time(self.recorded.started_at) if self.recorded else None

    @property
    def draft(self) -> StatusDraft:
        return StatusDraft(self.job, self.now)

    def age(self, since: datetime | None) -> float:
        return (self.now - since).total_seconds() if since else 0.0

    def lost(self, pod: AttemptPod) -> bool:
        """The pod should have been gone for some time, so its node does not answer, and the pod is not waited for."""
        return pod.deleted_at is not None and self.age(pod.deleted_at) > self.settings.lost_pod_seconds

    def until_lost(self, pod: AttemptPod, otherwise: float | None) -> float | None:
        """Seconds until the pod counts as lost, or `otherwise` if that is sooner: no watch event announces a loss."""
        if pod.deleted_at is None:
            return otherwise
        due = self.settings.lost_pod_seconds - self.age(pod.deleted_at) + _AFTERWARDS_SECONDS
        return due if otherwise is None else min(due, otherwise)

    def over(self, pod: AttemptPod | None) -> bool:
        """Whether the attempt's pod has ended, after its reporter has uploaded everything."""
        if pod is not None:
            return pod.ended or self.lost(pod)
        if self.recorded:
            return True
        return self.child is not None and bool(self.child.failure or self.child.complete)

    def stop_child(self) -> DeleteJob | None:
        """Deletes the attempt's Job unless its pod has ended: then the logs stay readable until the Job's TTL."""
        child = self.child
        if child is None or not child.active or (self.pod and self.pod.ended and not child.suspended):
            return None
        return DeleteJob(child.name, child.uid)


def finish(
    situation: Situation, how: conditions.End, reason: str, message: str, draft: StatusDraft | None = None
) -> Decision:
    return Decision(
        status=(draft or situation.draft).finished(how, reason, message).status,
        mark_finished=True,
        release_slot=True,
        notes=(Note(reason if how == "Failed" else how, message, warning=how == "Failed"),),
    )


def fail(situation: Situation, end: AttemptEnd) -> Decision:
    return finish(situation, "Failed", end.reason, end.message)
