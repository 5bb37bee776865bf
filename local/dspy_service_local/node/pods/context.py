"""What every pod of the node shares: the cluster, the way processes are confined, where folders lie, and the limits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from dspy_service_core.kube.client import KubeClient
from dspy_service_local.node.pods.content.volumes import Tokens
from dspy_service_local.node.processes.launch import PodLimits
from dspy_service_local.node.processes.processes import Launcher
from dspy_service_local.node.usage import UsageWatch


@dataclass(frozen=True, slots=True)
class Folders:
    """Below the data folder."""

    data: Path

    @property
    def claims(self) -> Path:
        return self.data / "volumes"

    @property
    def pods(self) -> Path:
        return self.data / "pods"

    @property
    def networks(self) -> Path:
        return self.data / "networks"

    def pod(self, uid: str) -> Path:
        return self.pods / uid

    def log(self, uid: str, container: str) -> Path:
        return self.pod(uid) / "logs" / f"{container}.log"


@dataclass(frozen=True, slots=True)
class NodeContext:
    client: KubeClient
    launcher: Launcher
    folders: Folders
    tokens: Tokens
    base_env: Mapping[str, str]
    limits: PodLimits
    usage: UsageWatch
    now: Callable[[], datetime]
