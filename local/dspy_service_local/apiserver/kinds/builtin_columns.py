"""What `kubectl get` prints of the built-in kinds."""

from collections.abc import Callable
from typing import Any

from dspy_service_core.kube.protocol import Object
from dspy_service_local.apiserver.kinds.kinds import Column

_AGE = Column("Age", ".metadata.creationTimestamp", type="date")


def _size(*sections: str) -> Callable[[Object], object]:
    return lambda obj: sum(len(obj.get(section) or ()) for section in sections)


def _pod_ready(obj: Object) -> str:
    statuses = _container_statuses(obj)
    count = len((obj.get("spec") or {}).get("containers") or ())
    sidecars = [c for c in (obj.get("spec") or {}).get("initContainers") or () if c.get("restartPolicy") == "Always"]
    return f"{sum(1 for status in statuses if status.get('ready'))}/{count + len(sidecars)}"


def _pod_state(obj: Object) -> str:
    """The container's reason where there is one, as kubectl shows `Completed`, `Error` or `OOMKilled`."""
    if "deletionTimestamp" in obj["metadata"]:
        return "Terminating"
    status = obj.get("status") or {}
    for container in (status.get("containerStatuses") or ())[::-1]:
        for state in ("waiting", "terminated"):
            if reason := ((container.get("state") or {}).get(state) or {}).get("reason"):
                return str(reason)
    return str(status.get("reason") or status.get("phase") or "Unknown")


def _pod_restarts(obj: Object) -> int:
    return sum(int(status.get("restartCount", 0)) for status in _container_statuses(obj))


def _container_statuses(obj: Object) -> list[dict[str, Any]]:
    status = obj.get("status") or {}
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _job_status(obj: Object) -> str:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    for wanted in ("Complete", "Failed", "Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if any(c.get("type") == wanted and c.get("status") == "True" for c in conditions):
            return wanted
    return "Terminating" if "deletionTimestamp" in obj["metadata"] else "Running"


def _job_completions(obj: Object) -> str:
    return f"{(obj.get('status') or {}).get('succeeded', 0)}/{(obj.get('spec') or {}).get('completions', 1)}"


def _node_state(obj: Object) -> str:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
    return "Ready" if ready else "NotReady"


def _event_object(obj: Object) -> str:
    about = obj.get("involvedObject") or {}
    return f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}"


def _event_seen(obj: Object) -> object:
    return obj.get("lastTimestamp") or obj.get("eventTime") or obj["metadata"].get("creationTimestamp")


NAMESPACE = (Column("Status", ".status.phase"), _AGE)
POD = (
    Column("Ready", _pod_ready),
    Column("Status", _pod_state),
    Column("Restarts", _pod_restarts),
    _AGE,
    Column("IP", ".status.podIP", priority=1),
    Column("Node", ".spec.nodeName", priority=1),
)
CONFIG_MAP = (Column("Data", _size("data", "binaryData"), type="integer"), _AGE)
SECRET = (Column("Type", ".type"), Column("Data", _size("data"), type="integer"), _AGE)
CLAIM = (
    Column("Status", ".status.phase"),
    Column("Volume", ".spec.volumeName"),
    Column("StorageClass", ".spec.storageClassName"),
    _AGE,
)
NODE = (Column("Status", _node_state), _AGE, Column("Version", ".status.nodeInfo.kubeletVersion"))
EVENT = (
    Column("Last Seen", _event_seen, type="date"),
    Column("Type", ".type"),
    Column("Reason", ".reason"),
    Column("Object", _event_object),
    Column("Message", ".message"),
)
JOB = (
    Column("Status", _job_status),
    Column("Completions", _job_completions),
    _AGE,
)
LEASE = (Column("Holder", ".spec.holderIdentity"), _AGE)
DEFINITION = (Column("Created At", ".metadata.creationTimestamp"),)
DEFAULT = (_AGE,)
