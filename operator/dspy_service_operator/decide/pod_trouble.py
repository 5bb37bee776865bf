"""Why an attempt's pod does not run yet, in the scheduler's and the kubelet's own words."""

from dataclasses import dataclass

from dspy_service_operator.decide.observed import AttemptJob, AttemptPod, ContainerState
from dspy_service_operator.settings import OperatorSettings

UNSCHEDULABLE = "Unschedulable"
_SLOW_SECONDS = 15.0
"""If an attempt has no running pod after this time, its Events are read."""
_WAITING_NORMALLY = frozenset({"ContainerCreating", "PodInitializing", ""})
_SAME = {"ErrImagePull": "ImagePullBackOff"}
"""The kubelet alternates between the two; one reason for both gives one condition and one Event."""
_HOPELESS = frozenset({"InvalidImageName"})
_QUOTA = "exceeded quota"
"""The API server's words when it refuses an object for a ResourceQuota."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """`patience`: for how many seconds an attempt may be in this trouble; None: until the deadline."""

    reason: str
    message: str
    patience: float | None = None


def find_trouble(
    job: AttemptJob, pod: AttemptPod | None, words: str | None, settings: OperatorSettings
) -> Trouble | None:
    """For an attempt whose pod does not run."""
    if job.suspended:
        return Trouble("WaitingForQuota", "Kueue has not admitted the attempt's Job yet")
    for_room = settings.unschedulable_timeout_seconds or None
    if pod is None:
        if words and lacks_quota(words):
            return Trouble("WaitingForQuota", words, for_room)
        return Trouble("PodNotCreated", words, settings.start_timeout_seconds) if words else None
    if pod.unschedulable:
        return Trouble(UNSCHEDULABLE, pod.unschedulable, for_room)
    for name, state in (("reporter", pod.reporter), ("optimizer", pod.optimizer)):
        if state is None or state.phase != "waiting":
            continue
        if state.reason not in _WAITING_NORMALLY:
            patience = 0.0 if state.reason in _HOPELESS else settings.start_timeout_seconds
            return Trouble(_SAME.get(state.reason, state.reason), _said(name, state), patience)
        words = words or state.message
    return Trouble("PodNotStarted", words, settings.start_timeout_seconds) if words else None


def lacks_quota(words: str) -> bool:
    """Quota becomes free when other pods end, so it is waited for like room on a node."""
    return _QUOTA in words


def worth_a_look(pod: AttemptPod | None, age: float) -> bool:
    """Whether to read the Events of the Job or the pod, which may say more than its status."""
    return age > _SLOW_SECONDS and (pod is None or not pod.unschedulable)


def _said(container: str, state: ContainerState) -> str:
    return f"{container}: {state.message or state.reason}"
