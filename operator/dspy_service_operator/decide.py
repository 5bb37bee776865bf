"""`decide`: what to do about one job, from what was observed. Pure: no clock, no network, no memory of its own.

The rules are asked in order and the first that has an answer wins. Each is safe to be asked again at any moment, by
another operator too: whatever a pass did is visible to the next in the cluster itself.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from dspy_service_core import conditions, names, pod_files
from dspy_service_core.job import Attempt, OptimizationJob, Result
from dspy_service_operator import attempt_end
from dspy_service_operator.attempt_end import AttemptEnd
from dspy_service_operator.decision import CreateJob, Decision, DeleteJob, Note
from dspy_service_operator.observed import AttemptJob, AttemptPod, Observed
from dspy_service_operator.pod_trouble import UNSCHEDULABLE, Trouble, find_trouble, worth_a_look
from dspy_service_operator.settings import OperatorSettings
from dspy_service_operator.status_changes import SUSPENDED, Draft

SETTLE_SECONDS = 0.3
"""A preflight shorter than this is not worth a write of its own: the next one says `Running` at once."""
LOOK_AGAIN_SECONDS = 30.0
SCHEDULER_SECONDS = 2.0
"""A pod as young as this (its age is told in whole seconds) is not recorded before the scheduler has said something of
it, usually within some hundredths: so that one write tells both, with a thousand waiting pods too."""
REFUSED_SECONDS = 5.0
SECRET_SECONDS = 0.03
ABANDONED_SECONDS = 60.0
"""An API-made job without its Secret by then never gets one: the API died between the two, or somebody deleted it."""
_LONGEST_PAUSE = 300.0
_AFTERWARDS_SECONDS = 0.1
"""A look at the very end of a patience would find it not over yet."""
SUCCEEDED_MESSAGE = "Optimization completed successfully."


@dataclass(frozen=True)
class Case:
    """One job with all that its rules look at."""

    job: OptimizationJob
    seen: Observed
    now: datetime
    settings: OperatorSettings

    @cached_property
    def recorded(self) -> Attempt | None:
        """The attempt that is under way and whose pod is known to everybody."""
        attempt = self.job.status.attempt
        over = {entry.number for entry in self.job.status.attempts}
        return attempt if attempt and attempt.number not in over else None

    @cached_property
    def number(self) -> int:
        """Of the attempt under way, else of the next."""
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
        """Just looked at and found to have all that it needs."""
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
    def draft(self) -> Draft:
        return Draft(self.job, self.now)

    def age(self, since: datetime | None) -> float:
        return (self.now - since).total_seconds() if since else 0.0

    def lost(self, pod: AttemptPod) -> bool:
        """Its node no longer answers: a pod that should be gone for long is not waited for."""
        return pod.deleted_at is not None and self.age(pod.deleted_at) > self.settings.lost_pod_seconds

    def over(self, pod: AttemptPod | None) -> bool:
        """Whether that pod has ended, its reporter's drain included."""
        if pod is not None:
            return pod.ended or self.lost(pod)
        if self.recorded:
            return True
        return self.child is not None and bool(self.child.failure or self.child.complete)

    def stop_child(self) -> DeleteJob | None:
        """A Job whose pod has ended is left to end by itself: its logs stay readable until its TTL."""
        child = self.child
        if child is None or not child.active or (self.pod and self.pod.ended and not child.suspended):
            return None
        return DeleteJob(child.name, child.uid)


def decide(job: OptimizationJob, seen: Observed, now: datetime, settings: OperatorSettings) -> Decision:
    if job.finished:
        return Decision(mark_finished=names.LABEL_FINISHED not in job.metadata.labels, release_slot=True)
    case = Case(job, seen, now, settings)
    for rule in (_reported, _invalid, _cancelled, _suspended, _waiting, _next_attempt, _attempt_over):
        if (decision := rule(case)) is not None:
            return decision
    return _until_lost(case, _attempt_under_way(case))


def _until_lost(case: Case, decision: Decision) -> Decision:
    """Nothing happens to a pod of a dead node when it should have been gone: no event tells of that."""
    pod = case.pod
    if pod is None or pod.deleted_at is None or decision.wants:
        return decision
    due = case.settings.lost_pod_seconds - case.age(pod.deleted_at) + _AFTERWARDS_SECONDS
    return replace(decision, requeue_after=due if decision.requeue_after is None else min(due, decision.requeue_after))


def _reported(case: Case) -> Decision | None:
    """A result record decides, whatever became of the pod."""
    result = case.job.status.run.result
    if result is None:
        return None
    message = _result_message(result)
    return _finish(case, result.outcome, result.reason or result.outcome, message)


def _invalid(case: Case) -> Decision | None:
    """What the API refuses at a submit is refused here too, as soon as it is seen: nothing was spent on it yet."""
    if case.under_way or conditions.holds(case.job.status.conditions, "Valid"):
        return None
    if case.seen.prerequisites is None:
        return None if case.api_made else Decision(wants="prerequisites")
    return _refuse(case)


def _refuse(case: Case) -> Decision | None:
    checked = case.seen.prerequisites
    if checked is None or not checked.invalid:
        return None
    draft = case.draft.unusable(checked.invalid)
    return _finish(case, "Failed", "Invalid", checked.invalid, draft)


def _cancelled(case: Case) -> Decision | None:
    stop = case.job.spec.stop
    begun = case.job.status.started_at or (case.recorded and case.pod and case.pod.running)
    if stop == "Cancel" or (stop == "KeepBest" and not begun):
        decision = _finish(case, "Cancelled", "Cancelled", "Cancelled before its end, as spec.stop asked.")
        return replace(decision, child=case.stop_child())
    return None


def _suspended(case: Case) -> Decision | None:
    if not case.job.spec.suspend:
        return None
    message = "Held by spec.suspend."
    draft = (case.draft.valid() if case.usable else case.draft).waiting(SUSPENDED, message)
    if case.recorded:
        draft.attempt_ended(case.number, AttemptEnd("disrupted", SUSPENDED, message), case.began_at)
    new = not _queued_for(case, SUSPENDED)
    return Decision(
        child=case.stop_child(),
        status=draft.status,
        release_slot=True,
        notes=(Note(SUSPENDED, message),) if new else (),
    )


def _waiting(case: Case) -> Decision | None:
    """In the queue. A place in it is written down rarely: the status of 10,000 waiting jobs is nobody's business."""
    if case.seen.slot or case.under_way:
        return None
    checked, position = case.seen.prerequisites, case.seen.position
    if checked is not None and checked.missing:
        return _missing(case, checked.missing_reason, checked.missing)
    just_checked = case.usable and not conditions.holds(case.job.status.conditions, "Valid")
    if position is None and not just_checked:
        return Decision()
    where = f" at position {position} of the queue" if position else ""
    draft = case.draft.valid() if case.usable else case.draft
    status = draft.waiting("Queued", f"Waiting for a slot{where}.", position or 0).status
    new = not _queued_for(case, "Queued")
    return Decision(status=status, notes=(Note("Queued", status.message),) if new else ())


def _next_attempt(case: Case) -> Decision | None:
    """It has a slot and no attempt: one is made when nothing is in its way."""
    if case.under_way:
        return None
    left = case.deadline_seconds - case.job.status.active_seconds
    if left <= 0:
        return _fail(case, attempt_end.deadline_exceeded(case.deadline_seconds))
    if pause := _pause_left(case):
        return Decision(requeue_after=pause)
    if any(pod.number < case.number and not pod.ended and not case.lost(pod) for pod in case.seen.pods):
        return Decision(requeue_after=5.0)
    if (refused := case.seen.refused) is not None:
        end = AttemptEnd("failed", refused.reason, refused.message)
        return _fail(case, end) if refused.final else _blocked(case, refused.reason, refused.message, REFUSED_SECONDS)
    if case.seen.prerequisites is None:
        return Decision(wants="prerequisites")
    if (invalid := _refuse(case)) is not None:
        return invalid
    if case.seen.prerequisites.missing:
        return _missing(case, case.seen.prerequisites.missing_reason, case.seen.prerequisites.missing)
    name = names.attempt_job(case.job.metadata.name, case.number)
    return Decision(
        child=CreateJob(case.number, left),
        requeue_after=LOOK_AGAIN_SECONDS / 2,
        notes=(Note("AttemptStarted", f"Attempt {case.number} runs as Job {name}."),),
    )


def _attempt_over(case: Case) -> Decision | None:
    if not case.over(case.pod):
        return None
    if not case.seen.fresh:
        return Decision(wants="fresh")
    memory = case.settings.runner_limits.get("memory", "the node's")
    asked = case.job.spec.run.resources.limits
    context = attempt_end.Context(case.deadline_seconds, (asked and asked.memory) or memory, _trouble(case))
    end = attempt_end.classify(case.child, case.pod, context)
    if end.verdict == "failed":
        return replace(_fail(case, end), child=case.stop_child())
    return _another(case, end)


def _trouble(case: Case) -> str:
    """What this attempt's reporter waited for; what it says otherwise explains no end."""
    run = case.job.status.run
    waits = run.attempt == case.number and run.message.endswith(pod_files.TRYING_AGAIN)
    return run.message.removesuffix(pod_files.TRYING_AGAIN) if waits else ""


def _another(case: Case, end: AttemptEnd) -> Decision:
    """Within the retry policy; the pass after this one makes the next attempt."""
    status = case.job.status
    counted = end.verdict == "retry"
    made = 1 + sum(1 for entry in status.attempts if entry.reason != SUSPENDED)
    if made >= case.settings.max_attempts or (counted and status.retries_used >= case.retries):
        tried = f"attempt {made}, {status.retries_used} of {case.retries} retries used"
        return replace(_fail(case, replace(end, message=f"{end.message} ({tried})")), child=case.stop_child())
    message = f"Attempt {case.number} ended, another follows: {end.message}"
    draft = case.draft.attempt_ended(case.number, end, case.began_at).waiting("Retrying", message)
    return Decision(
        child=case.stop_child(),
        status=draft.status,
        requeue_after=0.0,
        notes=(Note("Retrying", message, warning=True),),
    )


def _attempt_under_way(case: Case) -> Decision:
    child, pod = case.child, case.pod
    draft = case.draft
    if pod is not None and not case.recorded and child is not None:
        if child.deleting:
            return Decision(requeue_after=1.0)
        if not (pod.bound or pod.unschedulable or case.age(pod.created_at) >= SCHEDULER_SECONDS):
            return Decision(requeue_after=SCHEDULER_SECONDS)
        draft.recorded(child, pod)
    run = case.job.status.run
    if case.recorded and run.attempt == case.number and (run.started_at or run.stage in ("Running", "Finishing")):
        new = case.job.status.phase != "Running"
        notes = (Note("Running", "The preflight has passed."),) if new else ()
        return Decision(status=draft.running().status, notes=notes)
    if pod is not None and pod.running:
        return _validating(case, draft)
    return _starting(case, draft)


def _validating(case: Case, draft: Draft) -> Decision:
    settled = case.seen.quiet_seconds >= SETTLE_SECONDS or not case.recorded
    if not settled and case.job.status.phase == "Pending":
        return Decision(requeue_after=SETTLE_SECONDS - case.seen.quiet_seconds)
    new = case.job.status.phase != "Validating"
    notes = (Note("Validating", "The pod runs the job's checks."),) if new else ()
    return Decision(status=draft.validating().status, notes=notes)


def _starting(case: Case, draft: Draft) -> Decision:
    """The pod is not there or not running yet: say why, and give up in the end."""
    child, pod = case.child, case.pod
    if child is None:  # recorded, and its Job was deleted: the pod follows it
        return Decision(status=draft.status, requeue_after=LOOK_AGAIN_SECONDS)
    # Waiting for a node has a patience of its own, which that for starting must not be used up by.
    age = case.age((pod.scheduled_at or pod.created_at) if pod else child.created_at)
    recorded = case.recorded is not None or pod is None  # recording it comes before looking for words
    if case.seen.words is None and recorded and not child.suspended and worth_a_look(pod, age):
        return Decision(wants="words")
    trouble = find_trouble(child, pod, case.seen.words, case.settings)
    if trouble is None:
        if _just_found_a_node(case):  # what it waited for is withdrawn by the write that says that it runs
            return Decision(requeue_after=LOOK_AGAIN_SECONDS / 2)
        if pod is not None:
            draft.not_started("PodCreated", f"Pod {pod.name} is being started.")
        return Decision(status=draft.status if pod else None, requeue_after=LOOK_AGAIN_SECONDS / 2)
    if trouble.patience is not None and age > trouble.patience:
        waited = f"not started within {trouble.patience:.0f} s: " if trouble.patience else ""
        end = AttemptEnd("failed", trouble.reason, f"{waited}{trouble.message}")
        return replace(_fail(case, end), child=case.stop_child())
    return _troubled(case, draft, trouble)


def _just_found_a_node(case: Case) -> bool:
    started = conditions.find(case.job.status.conditions, "Started")
    waited = case.recorded is not None and started is not None and started.reason == UNSCHEDULABLE
    return waited and case.pod is not None and case.age(case.pod.scheduled_at) < LOOK_AGAIN_SECONDS / 2


def _troubled(case: Case, draft: Draft, trouble: Trouble) -> Decision:
    started = conditions.find(case.job.status.conditions, "Started")
    new = started is None or started.reason != trouble.reason
    return Decision(
        status=draft.not_started(trouble.reason, trouble.message).status,
        requeue_after=LOOK_AGAIN_SECONDS,
        notes=(Note(trouble.reason, trouble.message, warning=True),) if new else (),
    )


def _pause_left(case: Case) -> float:
    """The first retry is immediate; later ones wait, longer each time."""
    counted = [entry for entry in case.job.status.attempts if entry.reason != SUSPENDED]
    if len(counted) < 2:
        return 0.0
    pause = min(case.settings.retry_backoff_seconds * 2.0 ** (len(counted) - 2), _LONGEST_PAUSE)
    return max(0.0, pause - case.age(conditions.parse_time(counted[-1].ended_at)))


def _missing(case: Case, reason: str, message: str) -> Decision:
    """Something it refers to is not there; tools that apply several objects may bring it later."""
    age = case.age(conditions.parse_time(case.job.metadata.creation_timestamp))
    again = min(max(age / 10, 0.05), LOOK_AGAIN_SECONDS)
    if case.api_made and age < 3:  # the API makes a job's Secret right after the job
        return Decision(requeue_after=SECRET_SECONDS, release_slot=True)
    if case.api_made and age > ABANDONED_SECONDS:
        return _fail(case, AttemptEnd("failed", reason, f"{message} Its submit was not finished; submit it again."))
    return _blocked(case, reason, message, again)


def _blocked(case: Case, reason: str, message: str, again: float) -> Decision:
    new = not _queued_for(case, reason)
    return Decision(
        status=case.draft.waiting(reason, message).status,
        release_slot=True,
        requeue_after=again,
        notes=(Note(reason, message, warning=True),) if new else (),
    )


def _fail(case: Case, end: AttemptEnd) -> Decision:
    return _finish(case, "Failed", end.reason, end.message)


def _finish(case: Case, how: conditions.End, reason: str, message: str, draft: Draft | None = None) -> Decision:
    return Decision(
        status=(draft or case.draft).finished(how, reason, message).status,
        mark_finished=True,
        release_slot=True,
        notes=(Note(reason if how == "Failed" else how, message, warning=how == "Failed"),),
    )


def _result_message(result: Result) -> str:
    if result.outcome != "Succeeded":
        return result.message or result.reason or result.outcome
    if not result.stopped_early:
        return SUCCEEDED_MESSAGE
    return f"{SUCCEEDED_MESSAGE} Stopped early: this is the best program so far."


def _queued_for(case: Case, reason: str) -> bool:
    queued = conditions.find(case.job.status.conditions, "Queued")
    return queued is not None and queued.status == "True" and queued.reason == reason
