"""A node beside the embedded API server, and pods whose containers are small Python scripts."""

import asyncio
import os
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dspy_service_core.kube.resources import PODS
from dspy_service_local.node.jobs.job_controller import JobController
from dspy_service_local.node.logs import read_lines
from dspy_service_local.node.node import Node
from dspy_service_local.node.pods.context import Folders, NodeContext
from dspy_service_local.node.pods.model import Pod
from dspy_service_local.node.processes.cgroups import find_cgroups
from dspy_service_local.node.processes.launch import PodLimits
from dspy_service_local.node.processes.plain_process import PlainLauncher
from dspy_service_local.node.processes.processes import Launcher
from dspy_service_local.node.sandbox.find_sandbox import find_sandbox
from dspy_service_local.node.sandbox.sandbox import Sandbox
from dspy_service_local.node.sandbox.sandboxed_process import SandboxLauncher
from dspy_service_local.node.usage import UsageWatch
from dspy_service_local.supervision import keep_running
from faulty_cluster import FaultyCluster, faulty_cluster
from waiting import until

Object = dict[str, Any]
BASE_ENV = {"PATH": f"{sys.prefix}/bin:{os.environ['PATH']}", "LANG": "C.UTF-8"}


class FakeTokens:
    def __init__(self) -> None:
        self.revoked: list[str] = []
        self.defects = 0
        """So many times in a row, no token can be had, for a reason that nobody is prepared for."""

    def issue(self, pod: Pod) -> str:
        if self.defects:
            self.defects -= 1
            raise RuntimeError("a defect in the tokens")
        return f"token-of-{pod.uid}"

    def revoke(self, pod_uid: str) -> None:
        self.revoked.append(pod_uid)


@dataclass
class Host:
    kube: FaultyCluster
    node: Node
    folders: Folders
    tokens: FakeTokens
    controller: JobController

    def run_pod(self, **pod: Any) -> str:
        """Adds the pod; its name."""
        return str(self.kube.add(PODS, make_pod(**pod))["metadata"]["name"])

    def pod(self, name: str) -> Object:
        return self.kube.find(PODS, name) or {}

    async def ended(self, name: str, timeout: float = 30) -> Object:
        """The pod's last status."""

        async def last() -> Object | None:
            status: Object = self.pod(name).get("status") or {}
            return status if status.get("phase") in ("Succeeded", "Failed") else None

        return await until(last, timeout, what=f"{name} ends; {self.pod(name).get('status')}") or {}

    async def container(self, name: str, container: str, state: str, timeout: float = 30) -> Object:
        """The container's status, as soon as it is in that state."""

        async def there() -> Object | None:
            status = self.status_of(name, container)
            return status if state in status.get("state", {}) else None

        return await until(there, timeout, what=f"{container} {state}; {self.pod(name).get('status')}") or {}

    def status_of(self, name: str, container: str) -> Object:
        status = self.pod(name).get("status") or {}
        known = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
        return next((s for s in known if s["name"] == container), {})

    def log(self, name: str, container: str = "main") -> str:
        path = self.folders.log(self.pod(name)["metadata"]["uid"], container)
        return b"".join(line.split(b" ", 1)[1] for line in read_lines(path)).decode()

    async def says(self, name: str, word: str, container: str = "main") -> None:
        """Waits until the log of the container, which runs, has the word."""
        await self.container(name, container, "running")

        async def said() -> bool:
            return word in self.log(name, container)

        await until(said, what=f"{container} to say {word}")

    def volume(self, name: str, volume: str) -> Path:
        return self.folders.pod(self.pod(name)["metadata"]["uid"]) / "volumes" / volume


@asynccontextmanager
async def node_host(
    data: Path,
    launcher: Launcher | None = None,
    kube: FaultyCluster | None = None,
    limits: PodLimits | None = None,
    base_env: Mapping[str, str] = BASE_ENV,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> AsyncIterator[Host]:
    """Everything that it started ends with it. `kube` is a cluster that was there before."""
    if kube is None:
        async with (
            faulty_cluster(data / "cluster") as kube,
            node_host(data, launcher, kube, limits, base_env, now) as host,
        ):
            yield host
        return
    folders, tokens = Folders(data), FakeTokens()
    context = NodeContext(
        kube.client, launcher or PlainLauncher(), folders, tokens, base_env, limits or PodLimits(), UsageWatch(), now
    )
    node = Node(context)
    controller = JobController(kube.client, now)
    parts = {"the node": node.run, "the Job controller": controller.run}
    tasks = [asyncio.create_task(keep_running(name, part)) for name, part in parts.items()]
    await node.ready.wait()
    try:
        yield Host(kube, node, folders, tokens, controller)
        await node.stop()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def launchers(data: Path, visible: Sequence[Path] = ()) -> dict[str, Launcher]:
    found = find_sandbox(BASE_ENV, data, visible)
    cgroups = find_cgroups()
    plain: dict[str, Launcher] = {"plain": PlainLauncher(cgroups)}
    return plain | ({"sandbox": SandboxLauncher(found, cgroups)} if isinstance(found, Sandbox) else {})


def script(code: str, name: str = "main", **fields: Any) -> Object:
    """A container that runs the code; flushes every print."""
    return {"name": name, "image": "python", "command": [sys.executable, "-u", "-c", code], **fields}


def sidecar(code: str, name: str = "side", **fields: Any) -> Object:
    return script(code, name, restartPolicy="Always", **fields)


def make_pod(
    containers: list[Object],
    init: list[Object] | None = None,
    volumes: list[Object] | None = None,
    name: str = "",
    **spec: Any,
) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name or f"pod-{uuid.uuid4().hex[:6]}", "namespace": "default"},
        "spec": {
            "containers": containers,
            "initContainers": init or [],
            "volumes": volumes or [],
            "restartPolicy": "Never",
            "nodeName": "local",
            **spec,
        },
    }


def make_job(pod: Object, name: str = "work", **spec: Any) -> Object:
    """A Job whose pods look like `pod`."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"backoffLimit": 0, "template": {"spec": pod["spec"]}, **spec},
    }


def owned_pods(kube: FaultyCluster) -> list[Object]:
    return kube.all(PODS)
