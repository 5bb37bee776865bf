"""Pod logs: the node knows them, this server only asks. The node sets its source on the cluster."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from dspy_service_core.kube.protocol import Object
from dspy_service_local.apiserver import refusals


@dataclass(frozen=True, slots=True)
class LogRequest:
    namespace: str
    pod: str
    pod_uid: str
    container: str
    follow: bool = False
    tail_lines: int | None = None
    limit_bytes: int | None = None
    since_seconds: int | None = None
    timestamps: bool = False
    previous: bool = False


class PodLogs(Protocol):
    def read(self, request: LogRequest) -> AsyncIterator[bytes]:
        """The log's pieces; with `follow`, until the container has ended."""
        ...


class NoLogs:
    """Where no node runs."""

    async def read(self, request: LogRequest) -> AsyncIterator[bytes]:
        return
        yield b""


async def closing(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The pieces; what makes them is told when nobody reads on."""
    try:
        async for piece in pieces:
            yield piece
    finally:
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()


def log_request(pod: Object, query: Mapping[str, str]) -> LogRequest:
    metadata = pod["metadata"]
    container = _container(pod, query.get("container", ""))
    _require_started(pod, container)
    return LogRequest(
        namespace=metadata["namespace"],
        pod=metadata["name"],
        pod_uid=metadata["uid"],
        container=container,
        follow=_true(query, "follow"),
        tail_lines=_number(query, "tailLines"),
        limit_bytes=_number(query, "limitBytes"),
        since_seconds=_number(query, "sinceSeconds"),
        timestamps=_true(query, "timestamps"),
        previous=_true(query, "previous"),
    )


def _container(pod: Object, wanted: str) -> str:
    """The container named, else the pod's only one."""
    name, spec = pod["metadata"]["name"], pod["spec"]
    main = [container["name"] for container in spec.get("containers") or ()]
    every = [container["name"] for container in spec.get("initContainers") or ()] + main
    if not wanted:
        if len(every) == 1:
            return str(main[0])
        default = _annotations(pod).get("kubectl.kubernetes.io/default-container")
        if default in main:
            return str(default)
        listed = " ".join(main)
        raise refusals.bad_request(f"a container name must be specified for pod {name}, choose one of: [{listed}]")
    if wanted not in every:
        raise refusals.bad_request(f"container {wanted} is not valid for pod {name}")
    return wanted


def _require_started(pod: Object, container: str) -> None:
    status = pod.get("status") or {}
    known = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    state = next((each.get("state") or {} for each in known if each.get("name") == container), {})
    if "waiting" in state or (not state and status.get("phase") == "Pending"):
        reason = (state.get("waiting") or {}).get("reason") or "ContainerCreating"
        name = pod["metadata"]["name"]
        raise refusals.bad_request(f'container "{container}" in pod "{name}" is waiting to start: {reason}')


def _annotations(pod: Object) -> dict[str, Any]:
    return pod["metadata"].get("annotations") or {}


def _true(query: Mapping[str, str], name: str) -> bool:
    return query.get(name) in ("true", "1")


def _number(query: Mapping[str, str], name: str) -> int | None:
    value = query.get(name)
    if value is None:
        return None
    if not value.isdecimal():
        raise refusals.bad_request(f'{name}: Invalid value: "{value}": must be a whole number')
    return int(value)
