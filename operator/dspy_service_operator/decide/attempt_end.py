"""Classifies how an attempt without a result ended: by the job's own fault, the infrastructure's, or a disruption.

A fault of the job is final, because the same code would fail again after paying for the same model calls. Faults of the
infrastructure are followed by another attempt; a disruption that the cluster announced does not even use up a retry.
"""

import re
import signal
from dataclasses import dataclass
from typing import Literal

from dspy_service_core.storage import pod_files
from dspy_service_operator.decide.evictions import eviction_of
from dspy_service_operator.decide.observed import AttemptJob, AttemptPod, ContainerState

Verdict = Literal["failed", "retry", "disrupted"]

EVICTED = "Evicted"
"""The kubelet's reason for every eviction; only its message says why."""
_NEVER_STARTED = frozenset({"StartError", "ContainerCannotRun"})
"""The container runtime's reasons if a process could not be started; the exit code is then the runtime's own."""
_OWN_START = re.compile(
    r"executable file not found|no such file or directory|permission denied|exec format error|memory limit too low",
    re.IGNORECASE,
)
"""Messages of failures that the job's own image or limits cause, and would cause again."""
_LAST_LINES = 2
"""How many lines of a log's end are quoted: the error, and the line that says that it was given up."""
_SIGNALS = range(129, 193)
"""Exit codes that report a signal, as shells and container runtimes have them: 128 plus its number."""


@dataclass(frozen=True, slots=True)
class AttemptEnd:
    verdict: Verdict
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Context:
    """Facts that messages mention: the job's limits, and what its reporter was waiting for."""

    deadline_seconds: int
    memory: str
    said: str = ""


def classify(job: AttemptJob | None, pod: AttemptPod | None, context: Context) -> AttemptEnd:
    """For an attempt whose pod has ended, is lost, or is gone."""
    if (job and job.failure == "DeadlineExceeded") or (pod and pod.reason == "DeadlineExceeded"):
        return deadline_exceeded(context.deadline_seconds, context.said)
    if job is not None and job.suspended:
        return AttemptEnd("disrupted", "Preempted", "Kueue took the attempt's quota back")
    if pod is None:
        return _without_pod(job)
    return _own_fault(pod, context) or _disruption(pod) or _infrastructure_fault(pod, context.said)


def deadline_exceeded(seconds: int, said: str = "") -> AttemptEnd:
    waiting = f": {said}" if said else ""
    return AttemptEnd("failed", "DeadlineExceeded", f"deadline of {seconds} s exceeded{waiting}")


def _without_pod(job: AttemptJob | None) -> AttemptEnd:
    if job is None or job.deleting:
        return AttemptEnd("retry", "JobDeleted", "the attempt's Job was deleted")
    words = f": {job.failure_message}" if job.failure_message else ""
    return AttemptEnd("retry", "PodLost", f"the attempt's pod is gone{words}")


def _own_fault(pod: AttemptPod, context: Context) -> AttemptEnd | None:
    if pod.reason == EVICTED and (eviction := eviction_of(pod.message)).own:
        return AttemptEnd("failed", eviction.reason, eviction.message)
    state = pod.optimizer
    if state is None or state.phase != "terminated" or state.reason == "ContainerStatusUnknown":
        return None
    if state.reason == "OOMKilled":
        return AttemptEnd("failed", "OutOfMemory", f"killed for memory: the limit is {context.memory}")
    if state.reason in _NEVER_STARTED:
        return _cannot_start(state, "failed") if _OWN_START.search(state.message) else None
    if state.exit_code == pod_files.EXIT_NOT_READY or _signal(state) or _report_lost(pod):
        return None
    return AttemptEnd(
        "failed",
        "ProcessEnded",
        f"the process ended with exit code {state.exit_code} and left no result: "
        "usually code of the job called os._exit or sys.exit, or a native library crashed",
    )


def _disruption(pod: AttemptPod) -> AttemptEnd | None:
    if pod.reason == EVICTED:
        eviction = eviction_of(pod.message)
        return AttemptEnd("disrupted", eviction.reason, eviction.message)
    if pod.disruption:
        return AttemptEnd("disrupted", "Disrupted", f"the cluster ended the pod: {pod.disruption}")
    never_ran = pod.optimizer is None or not pod.optimizer.started
    if pod.reason and (pod.reason != "Error") and (never_ran or pod.reason in ("Terminated", "NodeLost")):
        return AttemptEnd("disrupted", pod.reason, pod.message or f"the node ended the pod: {pod.reason}")
    return None


def _infrastructure_fault(pod: AttemptPod, said: str) -> AttemptEnd:
    state = pod.optimizer
    if state is not None and state.phase == "terminated" and state.reason != "ContainerStatusUnknown":
        if state.reason in _NEVER_STARTED:
            return _cannot_start(state, "retry")
        if state.exit_code == pod_files.EXIT_NOT_READY:
            return AttemptEnd("retry", "NotReady", f"the job's data did not reach the pod in time{_words(pod, said)}")
        if _report_lost(pod):
            return AttemptEnd(
                "retry", "ReportLost", f"the run ended, but its result could not be reported{_words(pod, said)}"
            )
        if number := _signal(state):
            by_whom = "the pod was deleted: " if pod.deleted_at else ""
            return AttemptEnd("retry", "Killed", f"{by_whom}killed by {_name(number)} (exit code {state.exit_code})")
    if pod.deleted_at:
        return AttemptEnd("retry", "PodLost", "the pod was deleted, and its node does not say how it ended")
    return AttemptEnd("retry", "PodLost", "the pod ended, and its node does not say how")


def _cannot_start(state: ContainerState, verdict: Verdict) -> AttemptEnd:
    return AttemptEnd(verdict, "CannotStart", f"the container cannot be started: {state.message or state.reason}")


def _report_lost(pod: AttemptPod) -> bool:
    """The optimizer succeeded, and the reporter failed."""
    optimizer, reporter = pod.optimizer, pod.reporter
    return (
        optimizer is not None
        and reporter is not None
        and (optimizer.phase, optimizer.exit_code) == ("terminated", 0)
        and reporter.phase == "terminated"
        and reporter.exit_code != 0
    )


def _words(pod: AttemptPod, said: str) -> str:
    """What the reporter said in the status, else the last lines of its log, which the kubelet keeps."""
    words = said or (pod.reporter.message if pod.reporter else "")
    lines = words.strip().splitlines()[-_LAST_LINES:]
    return f": {'; '.join(lines)}" if lines else ""


def _signal(state: ContainerState) -> int:
    if state.signal:
        return state.signal
    return state.exit_code - 128 if state.exit_code in _SIGNALS else 0


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
