"""What the node says of a pod: pure functions from container states to `status`, as a kubelet of 1.34 writes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from dspy_service_local.node.pods.model import Container, Object, Pod


@dataclass(frozen=True, slots=True)
class Waiting:
    reason: str = "PodInitializing"
    message: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Terminated:
    exit_code: int
    reason: str
    message: str
    started_at: datetime | None
    finished_at: datetime


State = Waiting | Running | Terminated


@dataclass(slots=True)
class ContainerStatus:
    """`started` is the startup probe's word; without a probe a running container has started."""

    state: State = field(default_factory=Waiting)
    last: Terminated | None = None
    restarts: int = 0
    started: bool = False


@dataclass(frozen=True, slots=True)
class NodeEnding:
    """Why the node ended a pod by itself; `disruption` is not the pod's own fault, whoever made it may try again."""

    reason: str
    message: str
    disruption: bool = False


def pod_status(
    pod: Pod, states: Mapping[str, ContainerStatus], verdict: NodeEnding | None, previous: Object, now: datetime
) -> Object:
    """`previous` keeps the start time and the conditions' transition times."""
    status: Object = {
        "phase": phase(pod, states, verdict),
        "startTime": previous.get("startTime") or rfc3339(now),
        "hostIP": "127.0.0.1",
        "podIP": "127.0.0.1",
        "conditions": _conditions(pod, states, verdict, previous, now),
        "initContainerStatuses": [_container(pod, c, states[c.name]) for c in pod.init],
        "containerStatuses": [_container(pod, c, states[c.name]) for c in pod.main],
    }
    if verdict:
        status |= {"reason": verdict.reason, "message": verdict.message}
    return status


def phase(pod: Pod, states: Mapping[str, ContainerStatus], verdict: NodeEnding | None) -> str:
    """A pod ends only after its sidecars did; their exit codes do not count."""
    ended = all(not isinstance(states[c.name].state, Running) for c in pod.containers)
    if verdict and ended:
        return "Failed"
    if init_failed(pod, states):
        return "Failed" if ended else "Pending"
    main = [states[c.name].state for c in pod.main]
    if any(isinstance(state, Waiting) for state in main):
        return "Pending"
    if not ended:
        return "Running"
    return "Succeeded" if all(isinstance(s, Terminated) and s.exit_code == 0 for s in main) else "Failed"


def init_failed(pod: Pod, states: Mapping[str, ContainerStatus]) -> bool:
    ended = (states[c.name].state for c in pod.init if not c.sidecar)
    return any(isinstance(state, Terminated) and state.exit_code for state in ended)


def rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _conditions(
    pod: Pod, states: Mapping[str, ContainerStatus], verdict: NodeEnding | None, previous: Object, now: datetime
) -> list[Object]:
    initialized = all(_init_done(c, states[c.name]) for c in pod.init)
    ready = initialized and all(_ready(pod, c, states[c.name]) for c in pod.containers)
    done = phase(pod, states, verdict) == "Succeeded"
    unready = "PodCompleted" if done else "ContainersNotReady"
    wanted = [
        ("PodReadyToStartContainers", True, "", ""),
        ("Initialized", initialized or done, "PodCompleted" if done else "", ""),
        ("Ready", ready, "" if ready else unready, ""),
        ("ContainersReady", ready, "" if ready else unready, ""),
        ("PodScheduled", True, "", ""),
    ]
    if verdict and verdict.disruption:
        wanted.append(("DisruptionTarget", True, "TerminationByKubelet", verdict.message))
    known = {c["type"]: c for c in previous.get("conditions") or ()}
    return [_condition(*condition, known.get(condition[0]), now) for condition in wanted]


def _condition(kind: str, holds: bool, reason: str, message: str, known: Object | None, now: datetime) -> Object:
    word = "True" if holds else "False"
    since = known["lastTransitionTime"] if known and known["status"] == word else rfc3339(now)
    condition: Object = {"type": kind, "status": word, "lastTransitionTime": since}
    return condition | {k: v for k, v in (("reason", reason), ("message", message)) if v}


def _init_done(container: Container, status: ContainerStatus) -> bool:
    if container.sidecar:
        return status.started
    return isinstance(status.state, Terminated) and status.state.exit_code == 0


def _ready(pod: Pod, container: Container, status: ContainerStatus) -> bool:
    if container in pod.init and not container.sidecar:
        return _init_done(container, status)
    return isinstance(status.state, Running) and status.started


def _container(pod: Pod, container: Container, status: ContainerStatus) -> Object:
    answer: Object = {
        "name": container.name,
        "image": container.image,
        "imageID": "",
        "containerID": f"process://{container.name}-{status.restarts}",
        "restartCount": status.restarts,
        "ready": _ready(pod, container, status),
        "started": status.started and isinstance(status.state, Running),
        "state": _state(status.state),
        "lastState": _state(status.last) if status.last else {},
    }
    return answer


def _state(state: State) -> Object:
    if isinstance(state, Waiting):
        return {"waiting": {"reason": state.reason} | ({"message": state.message} if state.message else {})}
    if isinstance(state, Running):
        return {"running": {"startedAt": rfc3339(state.started_at)}}
    ended: Object = {"exitCode": state.exit_code, "reason": state.reason, "finishedAt": rfc3339(state.finished_at)}
    if state.started_at:
        ended["startedAt"] = rfc3339(state.started_at)
    if state.message:
        ended["message"] = state.message
    return {"terminated": ended}
