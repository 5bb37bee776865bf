"""`decide`: what to do about one job, given what was observed. Pure: no clock, no network, no memory of its own.

The rules are asked in order, and the first that returns a decision wins. Any rule may be asked again at any time, even
by another operator, because everything that a pass did is visible in the cluster.
"""

from dataclasses import replace
from datetime import datetime

from dspy_service_core.records import verdicts
from dspy_service_core.records.run import Result
from dspy_service_core.resource import conditions, names
from dspy_service_core.resource.job import OptimizationJob
from dspy_service_core.storage import pod_files
from dspy_service_operator.decide import attempt_end
from dspy_service_operator.decide.attempt_end import AttemptEnd
from dspy_service_operator.decide.attempt_running import LOOK_AGAIN_SECONDS, attempt_under_way
from dspy_service_operator.decide.decision import CreateJob, Decision, Note
from dspy_service_operator.decide.observed import Observed
from dspy_service_operator.decide.situation import Situation, fail, finish
from dspy_service_operator.decide.status_changes import SUSPENDED
from dspy_service_operator.settings import OperatorSettings

REFUSED_SECONDS = 5.0
SECRET_SECONDS = 0.03
ABANDONED_SECONDS = 60.0
"""After this, a job of the API without its Secret never gets one: the API died before it wrote it, or somebody deleted
it."""
_LONGEST_PAUSE = 300.0


def decide(job: OptimizationJob, seen: Observed, now: datetime, settings: OperatorSettings) -> Decision:
    if job.finished:
        return Decision(mark_finished=names.LABEL_FINISHED not in job.metadata.labels, release_slot=True)
    situation = Situation(job, seen, now, settings)
    for rule in (_reported, _deleted, _invalid, _cancelled, _suspended, _waiting, _next_attempt, _attempt_over):
        if (decision := rule(situation)) is not None:
            return decision
    return _or_lost(situation, attempt_under_way(situation))


def _or_lost(situation: Situation, decision: Decision) -> Decision:
    if situation.pod is None or decision.wants:
        return decision
    return replace(decision, requeue_after=situation.until_lost(situation.pod, decision.requeue_after))


def _reported(situation: Situation) -> Decision | None:
    """The result that the reporter wrote decides, whatever happened to the pod."""
    result = situation.job.status.run.result
    if result is None:
        return None
    message = _result_message(result)
    return finish(situation, result.outcome, result.reason or result.outcome, message)


def _deleted(situation: Situation) -> Decision | None:
    """The job was deleted and only somebody's finalizers keep its record: nobody wants the work any more."""
    if not situation.job.metadata.deletion_timestamp:
        return None
    decision = finish(situation, "Cancelled", "Cancelled", conditions.DELETED_MESSAGE)
    return replace(decision, child=situation.stop_child())


def _invalid(situation: Situation) -> Decision | None:
    """What the API would refuse at a submit is refused here too, as soon as the job is seen, before it costs
    anything."""
    if situation.under_way or conditions.holds(situation.job.status.conditions, "Valid"):
        return None
    if situation.seen.prerequisites is None:
        return None if situation.api_made else Decision(wants="prerequisites")
    return _refuse(situation)


def _refuse(situation: Situation) -> Decision | None:
    checked = situation.seen.prerequisites
    if checked is None or not checked.invalid:
        return None
    draft = situation.draft.unusable(checked.invalid)
    return finish(situation, "Failed", "Invalid", checked.invalid, draft)


def _cancelled(situation: Situation) -> Decision | None:
    stop = situation.job.spec.stop
    begun = situation.job.status.started_at or (situation.recorded and situation.pod and situation.pod.running)
    if stop == "Cancel" or (stop == "KeepBest" and not begun):
        decision = finish(situation, "Cancelled", "Cancelled", "Cancelled before its end, as spec.stop asked.")
        return replace(decision, child=situation.stop_child())
    return None


def _suspended(situation: Situation) -> Decision | None:
    if not situation.job.spec.suspend:
        return None
    message = "Held by spec.suspend."
    draft = (situation.draft.valid() if situation.usable else situation.draft).waiting(SUSPENDED, message)
    if situation.recorded:
        draft.attempt_ended(situation.number, AttemptEnd("disrupted", SUSPENDED, message), situation.began_at)
    new = not _queued_for(situation, SUSPENDED)
    return Decision(
        child=situation.stop_child(),
        status=draft.status,
        release_slot=True,
        notes=(Note(SUSPENDED, message),) if new else (),
    )


def _waiting(situation: Situation) -> Decision | None:
    """The job waits in the queue. Its position is written into the status only rarely, since with 10,000 waiting jobs
    every start moves all of them."""
    if situation.seen.slot or situation.under_way:
        return None
    checked, position = situation.seen.prerequisites, situation.seen.position
    if checked is not None and checked.missing:
        return _missing(situation, checked.missing_reason, checked.missing)
    just_checked = situation.usable and not conditions.holds(situation.job.status.conditions, "Valid")
    if position is None and not just_checked:
        return Decision()
    where = f" at position {position} of the queue" if position else ""
    draft = situation.draft.valid() if situation.usable else situation.draft
    status = draft.waiting("Queued", f"Waiting for a slot{where}.", position or 0).status
    new = not _queued_for(situation, "Queued")
    return Decision(status=status, notes=(Note("Queued", status.message),) if new else ())


def _next_attempt(situation: Situation) -> Decision | None:
    """The job has a slot and no attempt; creates one, unless something has to be waited for."""
    if situation.under_way:
        return None
    left = situation.deadline_seconds - situation.job.status.active_seconds
    if left <= 0:
        return fail(situation, attempt_end.deadline_exceeded(situation.deadline_seconds))
    if pause := _pause_left(situation):
        return Decision(requeue_after=pause)
    for pod in situation.seen.pods:
        if pod.number < situation.number and not pod.ended and not situation.lost(pod):
            return Decision(requeue_after=situation.until_lost(pod, LOOK_AGAIN_SECONDS))
    if (refused := situation.seen.refused) is not None:
        end = AttemptEnd("failed", refused.reason, refused.message)
        return (
            fail(situation, end)
            if refused.final
            else _blocked(situation, refused.reason, refused.message, REFUSED_SECONDS)
        )
    if situation.seen.prerequisites is None:
        return Decision(wants="prerequisites")
    if (invalid := _refuse(situation)) is not None:
        return invalid
    if situation.seen.prerequisites.missing:
        return _missing(situation, situation.seen.prerequisites.missing_reason, situation.seen.prerequisites.missing)
    name = names.attempt_job(situation.job.metadata.name, situation.number)
    return Decision(
        child=CreateJob(situation.number, left),
        requeue_after=LOOK_AGAIN_SECONDS / 2,
        notes=(Note("AttemptStarted", f"Attempt {situation.number} runs as Job {name}."),),
    )


def _attempt_over(situation: Situation) -> Decision | None:
    if not situation.over(situation.pod):
        return None
    if not situation.seen.fresh:
        return Decision(wants="fresh")
    memory = situation.settings.runner_limits.get("memory", "the node's")
    asked = situation.job.spec.run.resources.limits
    context = attempt_end.Context(situation.deadline_seconds, (asked and asked.memory) or memory, _trouble(situation))
    end = attempt_end.classify(situation.child, situation.pod, context)
    if end.verdict == "failed":
        return replace(fail(situation, end), child=situation.stop_child())
    return _another(situation, end)


def _trouble(situation: Situation) -> str:
    """What this attempt's reporter was waiting for. Its other messages do not explain an end."""
    run = situation.job.status.run
    waits = run.attempt == situation.number and run.message.endswith(pod_files.TRYING_AGAIN)
    return run.message.removesuffix(pod_files.TRYING_AGAIN) if waits else ""


def _another(situation: Situation, end: AttemptEnd) -> Decision:
    """Ends the attempt; if the retry policy allows another one, the next pass makes it."""
    status = situation.job.status
    counted = end.verdict == "retry"
    made = 1 + sum(1 for entry in status.attempts if entry.reason != SUSPENDED)
    if made >= situation.settings.max_attempts or (counted and status.retries_used >= situation.retries):
        tried = f"attempt {made}, {status.retries_used} of {situation.retries} retries used"
        return replace(fail(situation, replace(end, message=f"{end.message} ({tried})")), child=situation.stop_child())
    message = f"Attempt {situation.number} ended, another follows: {end.message}"
    draft = situation.draft.attempt_ended(situation.number, end, situation.began_at).waiting("Retrying", message)
    return Decision(
        child=situation.stop_child(),
        status=draft.status,
        requeue_after=0.0,
        notes=(Note("Retrying", message, warning=True),),
    )


def _pause_left(situation: Situation) -> float:
    """Seconds until the next attempt may start: the first retry is immediate, each later one waits twice as long."""
    counted = [entry for entry in situation.job.status.attempts if entry.reason != SUSPENDED]
    if len(counted) < 2:
        return 0.0
    pause = min(situation.settings.retry_backoff_seconds * 2.0 ** (len(counted) - 2), _LONGEST_PAUSE)
    return max(0.0, pause - situation.age(conditions.parse_time(counted[-1].ended_at)))


def _missing(situation: Situation, reason: str, message: str) -> Decision:
    """An object that the job refers to is missing; tools that apply several objects may create it later."""
    age = situation.age(conditions.parse_time(situation.job.metadata.creation_timestamp))
    again = min(max(age / 10, 0.05), LOOK_AGAIN_SECONDS)
    if situation.api_made and age < 3:  # the API makes a job's Secret right after the job
        return Decision(requeue_after=SECRET_SECONDS, release_slot=True)
    if situation.api_made and age > ABANDONED_SECONDS:
        return fail(situation, AttemptEnd("failed", reason, f"{message} Its submit was not finished; submit it again."))
    return _blocked(situation, reason, message, again)


def _blocked(situation: Situation, reason: str, message: str, again: float) -> Decision:
    new = not _queued_for(situation, reason)
    return Decision(
        status=situation.draft.waiting(reason, message).status,
        release_slot=True,
        requeue_after=again,
        notes=(Note(reason, message, warning=True),) if new else (),
    )


def _result_message(result: Result) -> str:
    if result.outcome != "Succeeded":
        return result.message or result.reason or result.outcome
    if told := verdicts.evaluated(result):
        return told
    message = conditions.succeeded_message(result.stopped_early, result.budget_hit)
    told = f"{verdicts.told_of(result)} {message}".lstrip()
    return f"Nothing was tried: {result.nothing_tried} {told}" if result.nothing_tried else told


def _queued_for(situation: Situation, reason: str) -> bool:
    queued = conditions.find(situation.job.status.conditions, "Queued")
    return queued is not None and queued.status == "True" and queued.reason == reason
