"""`decide`: what to do about one job, from what was observed. Pure: no clock, no network, no memory of its own.

The rules are asked in order and the first that has an answer wins. Each is safe to be asked again at any moment, by
another operator too: whatever a pass did is visible to the next in the cluster itself.
"""

from dataclasses import replace
from datetime import datetime

from dspy_service_core import conditions, names, pod_files
from dspy_service_core.job import OptimizationJob
from dspy_service_core.records.run import Result
from dspy_service_operator import attempt_end
from dspy_service_operator.attempt_end import AttemptEnd
from dspy_service_operator.case import Case, fail, finish
from dspy_service_operator.decision import CreateJob, Decision, Note
from dspy_service_operator.observed import Observed
from dspy_service_operator.settings import OperatorSettings
from dspy_service_operator.status_changes import SUSPENDED
from dspy_service_operator.under_way import LOOK_AGAIN_SECONDS, attempt_under_way

REFUSED_SECONDS = 5.0
SECRET_SECONDS = 0.03
ABANDONED_SECONDS = 60.0
"""An API-made job without its Secret by then never gets one: the API died between the two, or somebody deleted it."""
_LONGEST_PAUSE = 300.0


def decide(job: OptimizationJob, seen: Observed, now: datetime, settings: OperatorSettings) -> Decision:
    if job.finished:
        return Decision(mark_finished=names.LABEL_FINISHED not in job.metadata.labels, release_slot=True)
    case = Case(job, seen, now, settings)
    for rule in (_reported, _deleted, _invalid, _cancelled, _suspended, _waiting, _next_attempt, _attempt_over):
        if (decision := rule(case)) is not None:
            return decision
    return _or_lost(case, attempt_under_way(case))


def _or_lost(case: Case, decision: Decision) -> Decision:
    if case.pod is None or decision.wants:
        return decision
    return replace(decision, requeue_after=case.until_lost(case.pod, decision.requeue_after))


def _reported(case: Case) -> Decision | None:
    """A result record decides, whatever became of the pod."""
    result = case.job.status.run.result
    if result is None:
        return None
    message = _result_message(result)
    return finish(case, result.outcome, result.reason or result.outcome, message)


def _deleted(case: Case) -> Decision | None:
    """Somebody's finalizers keep the record (without any it would be gone): nobody wants the work any more."""
    if not case.job.metadata.deletion_timestamp:
        return None
    decision = finish(case, "Cancelled", "Cancelled", conditions.DELETED_MESSAGE)
    return replace(decision, child=case.stop_child())


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
    return finish(case, "Failed", "Invalid", checked.invalid, draft)


def _cancelled(case: Case) -> Decision | None:
    stop = case.job.spec.stop
    begun = case.job.status.started_at or (case.recorded and case.pod and case.pod.running)
    if stop == "Cancel" or (stop == "KeepBest" and not begun):
        decision = finish(case, "Cancelled", "Cancelled", "Cancelled before its end, as spec.stop asked.")
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
        return fail(case, attempt_end.deadline_exceeded(case.deadline_seconds))
    if pause := _pause_left(case):
        return Decision(requeue_after=pause)
    for pod in case.seen.pods:
        if pod.number < case.number and not pod.ended and not case.lost(pod):
            return Decision(requeue_after=case.until_lost(pod, LOOK_AGAIN_SECONDS))
    if (refused := case.seen.refused) is not None:
        end = AttemptEnd("failed", refused.reason, refused.message)
        return fail(case, end) if refused.final else _blocked(case, refused.reason, refused.message, REFUSED_SECONDS)
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
        return replace(fail(case, end), child=case.stop_child())
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
        return replace(fail(case, replace(end, message=f"{end.message} ({tried})")), child=case.stop_child())
    message = f"Attempt {case.number} ended, another follows: {end.message}"
    draft = case.draft.attempt_ended(case.number, end, case.began_at).waiting("Retrying", message)
    return Decision(
        child=case.stop_child(),
        status=draft.status,
        requeue_after=0.0,
        notes=(Note("Retrying", message, warning=True),),
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
        return fail(case, AttemptEnd("failed", reason, f"{message} Its submit was not finished; submit it again."))
    return _blocked(case, reason, message, again)


def _blocked(case: Case, reason: str, message: str, again: float) -> Decision:
    new = not _queued_for(case, reason)
    return Decision(
        status=case.draft.waiting(reason, message).status,
        release_slot=True,
        requeue_after=again,
        notes=(Note(reason, message, warning=True),) if new else (),
    )


def _result_message(result: Result) -> str:
    if result.outcome != "Succeeded":
        return result.message or result.reason or result.outcome
    return conditions.STOPPED_EARLY_MESSAGE if result.stopped_early else conditions.SUCCEEDED_MESSAGE


def _queued_for(case: Case, reason: str) -> bool:
    queued = conditions.find(case.job.status.conditions, "Queued")
    return queued is not None and queued.status == "True" and queued.reason == reason
