"""batch/v1 Jobs of one pod: what is to be done next, and what the status says. Pure; `job_controller` does it.

As kube-controller-manager of 1.34 does it for `completions: 1`, `parallelism: 1`. Left out: indexes, several pods at
once, success policies, and the finalizer by which the original counts pods that were removed behind its back. Instead
a pod that was active and has vanished counts as failed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from dspy_service_local.node.jobs.job_conditions import Condition, failed_condition, holds, set_condition
from dspy_service_local.node.jobs.pod_failures import fatal_rule, is_ignored
from dspy_service_local.node.pods.model import Object
from dspy_service_local.node.pods.status import rfc3339

_BACKOFF_SECONDS, _LONGEST_BACKOFF_SECONDS = 10.0, 600.0
_DEFAULT_BACKOFF_LIMIT = 6
_OMITTED_WHEN_ZERO = ("active", "succeeded", "failed")


@dataclass(frozen=True, slots=True)
class Decision:
    """`status` is the whole new one, None when nothing changed; `again_in` is when to look again, in seconds."""

    status: Object | None = None
    create: bool = False
    delete: tuple[Object, ...] = ()
    remove_job: bool = False
    again_in: float | None = None


@dataclass(slots=True)
class _Pods:
    """The Job's pods, sorted by what they mean for it."""

    active: list[Object] = field(default_factory=list)
    terminating: list[Object] = field(default_factory=list)
    succeeded: list[Object] = field(default_factory=list)
    failed: list[Object] = field(default_factory=list)


def decide(job: Object, pods: Sequence[Object], now: datetime) -> Decision:
    old: Object = job.get("status") or {}
    if holds(old, "Complete") or holds(old, "Failed"):
        return _after_the_end(job, old, now)
    if job["metadata"].get("deletionTimestamp"):
        return Decision()
    return _running(job, _sorted(pods, suspended=bool(job["spec"].get("suspend"))), old, now)


def _running(job: Object, pods: _Pods, old: Object, now: datetime) -> Decision:
    spec = job["spec"]
    status: Object = dict(old)
    failed = _count_failed(spec, pods, old)
    status |= {"succeeded": len(pods.succeeded), "failed": failed, "ready": sum(map(_is_ready, pods.active))}
    suspended = bool(spec.get("suspend"))
    _suspension(status, suspended, now)
    if not suspended and not status.get("startTime"):
        status["startTime"] = rfc3339(now)
    failure = _failure(spec, pods, status, failed, now)
    done = bool(pods.succeeded) and not failure
    delete = tuple(pods.active) if suspended or failure or done else ()
    waiting = _backoff(pods, failed, now)
    create = not (pods.active or pods.terminating or suspended or failure or done or waiting > 0)
    left = 0 if delete else len(pods.active)
    status |= {"active": left + create, "terminating": len(pods.terminating) + len(delete)}
    status = {key: value for key, value in status.items() if value or key not in _OMITTED_WHEN_ZERO}
    if failure or done:
        _finish(status, failure, ended=not (left or delete or pods.terminating), now=now)
    return Decision(
        status=status if status != old else None,
        create=create,
        delete=delete,
        again_in=_again(spec, status, waiting, now),
    )


def _after_the_end(job: Object, status: Object, now: datetime) -> Decision:
    ttl = job["spec"].get("ttlSecondsAfterFinished")
    if ttl is None:
        return Decision()
    ended = next(c for c in status["conditions"] if c["type"] in ("Complete", "Failed") and c["status"] == "True")
    left = (_time(ended["lastTransitionTime"]) + timedelta(seconds=ttl) - now).total_seconds()
    return Decision(remove_job=True) if left <= 0 else Decision(again_in=left)


def _sorted(pods: Sequence[Object], *, suspended: bool) -> _Pods:
    """A pod that a suspension deleted has not failed, however its processes end."""
    result = _Pods()
    for pod in pods:
        phase, deleted = (pod.get("status") or {}).get("phase"), pod["metadata"].get("deletionTimestamp")
        if phase == "Succeeded":
            result.succeeded.append(pod)
        elif phase == "Failed" and not (suspended and deleted):
            result.failed.append(pod)
        elif deleted:
            result.terminating.append(pod)
        else:
            result.active.append(pod)
    return result


def _count_failed(spec: Object, pods: _Pods, old: Object) -> int:
    seen = sum(not is_ignored(spec, pod) for pod in pods.failed)
    known = int(old.get("failed") or 0)
    nothing_left = not (pods.active or pods.terminating or pods.succeeded or pods.failed)
    vanished = nothing_left and bool(old.get("active")) and not spec.get("suspend")
    return max(seen, known + (vanished and not holds(old, "FailureTarget")))


def _failure(spec: Object, pods: _Pods, status: Object, failed: int, now: datetime) -> Condition | None:
    """Why the Job fails, if it does; once it is said it stays."""
    if holds(status, "FailureTarget"):
        return failed_condition(status)
    for pod in pods.failed:
        if message := fatal_rule(spec, pod):
            return Condition("FailureTarget", "PodFailurePolicy", message)
    if failed > int(spec.get("backoffLimit", _DEFAULT_BACKOFF_LIMIT)):
        return Condition("FailureTarget", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
    left = _deadline_left(spec, status, now)
    if left is not None and left <= 0:
        return Condition("FailureTarget", "DeadlineExceeded", "Job was active longer than specified deadline")
    return None


def _finish(status: Object, failure: Condition | None, ended: bool, now: datetime) -> None:
    """The verdict comes first, the end when the last pod is gone."""
    if failure:
        set_condition(status, failure, now)
        if ended:
            set_condition(status, Condition("Failed", failure.reason, failure.message), now)
        return
    reached = ("CompletionsReached", "Reached expected number of succeeded pods")
    set_condition(status, Condition("SuccessCriteriaMet", *reached), now)
    if ended:
        set_condition(status, Condition("Complete", *reached), now)
        status["completionTime"] = rfc3339(now)


def _suspension(status: Object, suspended: bool, now: datetime) -> None:
    if suspended:
        set_condition(status, Condition("Suspended", "JobSuspended", "Job suspended"), now)
        status.pop("startTime", None)
    elif holds(status, "Suspended"):
        set_condition(status, Condition("Suspended", "JobResumed", "Job resumed", holds=False), now)
        status["startTime"] = rfc3339(now)


def _backoff(pods: _Pods, failed: int, now: datetime) -> float:
    """Seconds until the next pod may be made after a failed one."""
    if not pods.failed or not failed:
        return 0.0
    last = max(_ended_at(pod, now) for pod in pods.failed)
    pause: float = min(_BACKOFF_SECONDS * 2 ** (failed - 1), _LONGEST_BACKOFF_SECONDS)
    return max(0.0, pause - (now - last).total_seconds())


def _again(spec: Object, status: Object, waiting: float, now: datetime) -> float | None:
    left = _deadline_left(spec, status, now)
    times = [seconds for seconds in (waiting, left) if seconds is not None and seconds > 0]
    return min(times) if times else None


def _deadline_left(spec: Object, status: Object, now: datetime) -> float | None:
    deadline, start = spec.get("activeDeadlineSeconds"), status.get("startTime")
    if deadline is None or not start or spec.get("suspend"):
        return None
    left: float = deadline - _seconds_since(start, now)
    return left


def _ended_at(pod: Object, now: datetime) -> datetime:
    states = [s.get("state", {}).get("terminated", {}) for s in pod["status"].get("containerStatuses") or ()]
    times = [_time(state["finishedAt"]) for state in states if state.get("finishedAt")]
    return max(times, default=now)


def _is_ready(pod: Object) -> bool:
    return holds(pod.get("status") or {}, "Ready")


def _seconds_since(start: str, now: datetime) -> float:
    return (now - _time(start)).total_seconds()


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)
