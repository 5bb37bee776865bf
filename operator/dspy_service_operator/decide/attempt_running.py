"""The rule for an attempt whose pod has not ended: records it, and follows it through starting, validating and running.

Pure, like all of `decide`.
"""

from dataclasses import replace

from dspy_service_core.resource import conditions
from dspy_service_operator.decide.attempt_end import AttemptEnd
from dspy_service_operator.decide.decision import Decision, Note
from dspy_service_operator.decide.pod_trouble import UNSCHEDULABLE, Trouble, find_trouble, worth_a_look
from dspy_service_operator.decide.situation import Situation, fail
from dspy_service_operator.decide.status_changes import StatusDraft

SETTLE_SECONDS = 0.3
"""A preflight that is shorter than this never shows as `Validating`: that saves one write of the status."""
LOOK_AGAIN_SECONDS = 30.0
SCHEDULER_SECONDS = 2.0
"""A pod younger than this (ages are whole seconds) is recorded only when the scheduler has placed or refused it, which
usually takes some hundredths of a second: one write of the status then tells both."""


def attempt_under_way(situation: Situation) -> Decision:
    child, pod = situation.child, situation.pod
    draft = situation.draft
    if pod is not None and not situation.recorded and child is not None:
        if child.deleting:
            return Decision(requeue_after=1.0)
        if not (pod.bound or pod.unschedulable or situation.age(pod.created_at) >= SCHEDULER_SECONDS):
            return Decision(requeue_after=SCHEDULER_SECONDS)
        draft.recorded(child, pod)
    run = situation.job.status.run
    if (
        situation.recorded
        and run.attempt == situation.number
        and (run.started_at or run.stage in ("Running", "Finishing"))
    ):
        new = situation.job.status.phase != "Running"
        notes = (Note("Running", "The preflight has passed."),) if new else ()
        return Decision(status=draft.running().status, notes=notes)
    if pod is not None and pod.running:
        return _validating(situation, draft)
    return _starting(situation, draft)


def _validating(situation: Situation, draft: StatusDraft) -> Decision:
    settled = situation.seen.quiet_seconds >= SETTLE_SECONDS or not situation.recorded
    if not settled and situation.job.status.phase == "Pending":
        return Decision(requeue_after=SETTLE_SECONDS - situation.seen.quiet_seconds)
    new = situation.job.status.phase != "Validating"
    notes = (Note("Validating", "The pod runs the job's checks."),) if new else ()
    return Decision(status=draft.validating().status, notes=notes)


def _starting(situation: Situation, draft: StatusDraft) -> Decision:
    """The pod does not exist or does not run yet: says why, and after the time allowed gives up."""
    child, pod = situation.child, situation.pod
    if child is None:  # recorded, and its Job was deleted: the pod follows it
        return Decision(status=draft.status, requeue_after=LOOK_AGAIN_SECONDS)
    # The time spent waiting for a node has a limit of its own, so it does not count as time for starting.
    age = situation.age((pod.scheduled_at or pod.created_at) if pod else child.created_at)
    recorded = situation.recorded is not None or pod is None  # recording it comes before looking for words
    if situation.seen.words is None and recorded and not child.suspended and worth_a_look(pod, age):
        return Decision(wants="words")
    trouble = find_trouble(child, pod, situation.seen.words, situation.settings)
    if trouble is None:
        if _just_found_a_node(situation):  # the write that says that it runs will replace the old reason anyway
            return Decision(requeue_after=LOOK_AGAIN_SECONDS / 2)
        if pod is not None:
            draft.not_started("PodCreated", f"Pod {pod.name} is being started.")
        return Decision(status=draft.status if pod else None, requeue_after=LOOK_AGAIN_SECONDS / 2)
    if trouble.patience is not None and age > trouble.patience:
        waited = f"not started within {trouble.patience:.0f} s: " if trouble.patience else ""
        end = AttemptEnd("failed", trouble.reason, f"{waited}{trouble.message}")
        return replace(fail(situation, end), child=situation.stop_child())
    return _troubled(situation, draft, trouble)


def _just_found_a_node(situation: Situation) -> bool:
    started = conditions.find(situation.job.status.conditions, "Started")
    waited = situation.recorded is not None and started is not None and started.reason == UNSCHEDULABLE
    return waited and situation.pod is not None and situation.age(situation.pod.scheduled_at) < LOOK_AGAIN_SECONDS / 2


def _troubled(situation: Situation, draft: StatusDraft, trouble: Trouble) -> Decision:
    started = conditions.find(situation.job.status.conditions, "Started")
    new = started is None or started.reason != trouble.reason
    return Decision(
        status=draft.not_started(trouble.reason, trouble.message).status,
        requeue_after=LOOK_AGAIN_SECONDS,
        notes=(Note(trouble.reason, trouble.message, warning=True),) if new else (),
    )
