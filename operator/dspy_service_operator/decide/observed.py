"""What `decide` sees of the cluster: a job's attempts, read from Kubernetes' own Jobs and pods.

Each object is read once, when a watch brings it, and only what decisions need is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from dspy_service_core.resource import names
from dspy_service_core.resource.conditions import parse_time

OPTIMIZER = "optimizer"
REPORTER = "reporter"
_LAST_WORDS = 400


@dataclass(frozen=True, slots=True)
class ContainerState:
    phase: Literal["waiting", "running", "terminated"]
    reason: str = ""
    message: str = ""
    exit_code: int = 0
    signal: int = 0
    started: bool = False
    """Whether it ever ran."""


@dataclass(frozen=True, slots=True)
class AttemptJob:
    """Only Kueue sets `suspended`; we never write that field."""

    name: str
    uid: str
    number: int
    owner_uid: str
    created_at: datetime | None = None
    suspended: bool = False
    deleting: bool = False
    complete: bool = False
    failure: str = ""
    failure_message: str = ""

    @property
    def active(self) -> bool:
        return not (self.complete or self.failure or self.deleting)


@dataclass(frozen=True, slots=True)
class AttemptPod:
    name: str
    uid: str
    number: int
    job_uid: str
    phase: str = "Pending"
    reason: str = ""
    message: str = ""
    created_at: datetime | None = None
    deleted_at: datetime | None = None
    """The time by which it should be gone: Kubernetes' deletionTimestamp, which includes the grace period."""
    bound: bool = False
    """Whether it has a node."""
    scheduled_at: datetime | None = None
    optimizer: ContainerState | None = None
    reporter: ContainerState | None = None
    unschedulable: str = ""
    disruption: str = ""
    """Why the cluster ended the pod (condition DisruptionTarget), as `reason: message`."""

    @property
    def ended(self) -> bool:
        return self.phase in ("Succeeded", "Failed")

    @property
    def running(self) -> bool:
        return not self.ended and self.optimizer is not None and self.optimizer.phase == "running"


@dataclass(frozen=True, slots=True)
class Prerequisites:
    """Problems with what a job needs before its first attempt. `invalid` is final; what is `missing` may still come."""

    invalid: str = ""
    missing_reason: str = ""
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the API server refused the next attempt's Job; `final` if it always will."""

    reason: str
    message: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class Observed:
    jobs: Mapping[int, AttemptJob] = field(default_factory=dict)
    """The attempts' Jobs that exist, by number."""
    pods: tuple[AttemptPod, ...] = ()
    refused: Refusal | None = None
    """Why the last try to create the next attempt's Job failed, if it did."""
    slot: bool = False
    """Whether the queue lets it run."""
    position: int | None = None
    """Its position in the queue, if it is time to write that into the status."""
    prerequisites: Prerequisites | None = None
    """None if they were not checked yet."""
    fresh: bool = False
    """Whether resource, Jobs and pods were just read from the API server, and do not come from the watches."""
    words: str | None = None
    """The newest warning in the Events of the attempt's Job or pod; None if the Events were not read."""
    quiet_seconds: float = float("inf")
    """Seconds since this process last wrote the status."""

    def pod_of(self, job: AttemptJob | None, pod_uid: str = "") -> AttemptPod | None:
        """The pod that was recorded, else the newest one of that Job."""
        if pod_uid:
            return next((pod for pod in self.pods if pod.uid == pod_uid), None)
        own = [pod for pod in self.pods if job is not None and pod.job_uid == job.uid]
        return max(own, key=lambda pod: (not pod.ended, str(pod.created_at)), default=None)


def read_job(raw: Mapping[str, Any]) -> AttemptJob | None:
    """None when it is not an attempt's Job."""
    metadata, status = raw["metadata"], raw.get("status") or {}
    number = _number(metadata)
    if number is None:
        return None
    conditions = {c["type"]: c for c in status.get("conditions") or () if c.get("status") == "True"}
    failure = conditions.get("Failed") or conditions.get("FailureTarget") or {}
    return AttemptJob(
        name=metadata["name"],
        uid=metadata["uid"],
        number=number,
        owner_uid=_controller(metadata),
        created_at=parse_time(metadata.get("creationTimestamp")),
        suspended=bool((raw.get("spec") or {}).get("suspend")),
        deleting=bool(metadata.get("deletionTimestamp")),
        complete="Complete" in conditions or "SuccessCriteriaMet" in conditions,
        failure=(failure.get("reason") or "Failed") if failure else "",
        failure_message=failure.get("message") or "",
    )


def read_pod(raw: Mapping[str, Any]) -> AttemptPod | None:
    """None when it is not an attempt's pod."""
    metadata, status = raw["metadata"], raw.get("status") or {}
    number = _number(metadata)
    if number is None:
        return None
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    return AttemptPod(
        name=metadata["name"],
        uid=metadata["uid"],
        number=number,
        job_uid=_controller(metadata),
        phase=status.get("phase") or "Pending",
        reason=status.get("reason") or "",
        message=status.get("message") or "",
        created_at=parse_time(metadata.get("creationTimestamp")),
        deleted_at=parse_time(metadata.get("deletionTimestamp")),
        optimizer=_container(status.get("containerStatuses"), OPTIMIZER),
        reporter=_container(status.get("initContainerStatuses"), REPORTER),
        bound=bool((raw.get("spec") or {}).get("nodeName")),
        scheduled_at=_since(conditions.get("PodScheduled") or {}),
        unschedulable=_unschedulable(conditions.get("PodScheduled") or {}),
        disruption=_disruption(conditions.get("DisruptionTarget") or {}),
    )


def job_key(raw: Mapping[str, Any]) -> tuple[str, str] | None:
    """(namespace, name) of the resource to which a Job, pod or Secret of ours belongs."""
    metadata = raw["metadata"]
    name = (metadata.get("labels") or {}).get(names.LABEL_JOB)
    return (metadata.get("namespace", ""), name) if name else None


def _number(metadata: Mapping[str, Any]) -> int | None:
    text = (metadata.get("labels") or {}).get(names.LABEL_ATTEMPT, "")
    return int(text) if text.isdecimal() and text.isascii() else None


def _controller(metadata: Mapping[str, Any]) -> str:
    owners = metadata.get("ownerReferences") or ()
    return next((owner["uid"] for owner in owners if owner.get("controller")), "")


def _container(statuses: list[dict[str, Any]] | None, name: str) -> ContainerState | None:
    raw = next((status for status in statuses or () if status.get("name") == name), None)
    if raw is None or not raw.get("state"):
        return None
    phase, detail = next(iter(raw["state"].items()))
    if phase not in ("waiting", "running", "terminated"):
        return None
    detail = detail or {}
    return ContainerState(
        phase=phase,
        reason=detail.get("reason") or "",
        message=_words(detail, raw.get("lastState") or {}),
        exit_code=detail.get("exitCode") or 0,
        signal=detail.get("signal") or 0,
        started=phase != "waiting" or bool(raw.get("lastState")),
    )


def _words(detail: Mapping[str, Any], last: Mapping[str, Any]) -> str:
    """The kubelet's message about this state; for a container that keeps crashing, its last log lines too."""
    message = detail.get("message") or ""
    ended = last.get("terminated") or {}
    if detail.get("reason") != "CrashLoopBackOff" or not ended:
        return message
    own = (ended.get("message") or f"exit code {ended.get('exitCode')}").strip()[-_LAST_WORDS:]
    return f"{message}: {own}" if message else own


def _since(condition: Mapping[str, Any]) -> datetime | None:
    return parse_time(condition.get("lastTransitionTime")) if condition.get("status") == "True" else None


def _unschedulable(condition: Mapping[str, Any]) -> str:
    if condition.get("status") == "False" and condition.get("reason") == "Unschedulable":
        return condition.get("message") or "no node fits"
    return ""


def _disruption(condition: Mapping[str, Any]) -> str:
    if condition.get("status") != "True":
        return ""
    return ": ".join(part for part in (condition.get("reason"), condition.get("message")) if part)
