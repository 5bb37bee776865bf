"""Why an attempt's pod does not run yet, in the scheduler's and the kubelet's own words."""

from dataclasses import dataclass

from dspy_service_operator.observed import AttemptJob, AttemptPod, ContainerState
from dspy_service_operator.settings import OperatorSettings

_SLOW_SECONDS = 15.0
"""From then on an attempt without a running pod is worth a look at its Events."""
_WAITING_NORMALLY = frozenset({"ContainerCreating", "PodInitializing", ""})


@dataclass(frozen=True, slots=True)
class Trouble:
    """`patience` is how long an attempt may be in it; None: as long as the deadline lets it."""

    reason: str
    message: str
    patience: float | None = None


def find_trouble(
    job: AttemptJob, pod: AttemptPod | None, words: str | None, settings: OperatorSettings
) -> Trouble | None:
    """Of an attempt whose pod does not run."""
    if job.suspended:
        return Trouble("WaitingForQuota", "Kueue has not admitted the attempt's Job yet")
    if pod is None:
        return Trouble("PodNotCreated", words, settings.start_timeout_seconds) if words else None
    if pod.unschedulable:
        return Trouble("Unschedulable", pod.unschedulable, settings.unschedulable_timeout_seconds or None)
    for name, state in (("reporter", pod.reporter), ("optimizer", pod.optimizer)):
        if state is None or state.phase != "waiting":
            continue
        if state.reason not in _WAITING_NORMALLY:
            return Trouble(state.reason, _said(name, state), settings.start_timeout_seconds)
        words = words or state.message
    return Trouble("PodNotStarted", words, settings.start_timeout_seconds) if words else None


def worth_a_look(pod: AttemptPod | None, age: float) -> bool:
    """Whether Events of the Job or the pod may say what its status does not."""
    return age > _SLOW_SECONDS and (pod is None or not pod.unschedulable)


def _said(container: str, state: ContainerState) -> str:
    return f"{container}: {state.message or state.reason}"
