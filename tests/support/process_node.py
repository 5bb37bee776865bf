"""The embedded node as the kubelet of a control plane that has none (`cluster/control-plane`): API server and
controllers are the real ones, pods run as processes of this machine."""

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import orjson

from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.config import from_kubeconfig
from dspy_service_core.kube.http_transport import HttpTransport
from dspy_service_core.kube.protocol import KubeRequest, KubeResponse
from dspy_service_core.kube.resources import PODS, SERVICE_ACCOUNTS
from dspy_service_local.node.node import Node
from dspy_service_local.node.pods.context import Folders, NodeContext
from dspy_service_local.node.pods.model import Pod
from dspy_service_local.node.processes.cgroups import find_cgroups
from dspy_service_local.node.processes.launch import PodLimits
from dspy_service_local.node.sandbox.find_sandbox import find_sandbox
from dspy_service_local.node.sandbox.sandbox import Sandbox
from dspy_service_local.node.sandbox.sandboxed_process import SandboxLauncher
from dspy_service_local.node.usage import UsageWatch
from dspy_service_local.settings import LocalSettings
from dspy_service_local.up.environments import container_environment
from kube_http import KubeHttp, ok
from waiting import wait_for


class _Scheduling(HttpTransport):
    """A real API server binds a pod by the subresource for it, as schedulers do, and by nothing else."""

    async def send(self, request: KubeRequest) -> KubeResponse:
        if (request.verb, request.resource, request.subresource) == ("patch", PODS, ""):
            spec = orjson.loads(request.body or b"{}").get("spec") or {}
            if list(spec) == ["nodeName"]:
                target = {"kind": "Node", "name": spec["nodeName"]}
                body = orjson.dumps({"metadata": {"name": request.name}, "target": target})
                request = KubeRequest("create", PODS, request.namespace, request.name, "binding", body=body)
        return await super().send(request)


class _PodTokens:
    """Bound to their pod, as those of a kubelet; they end with it."""

    def __init__(self, http: KubeHttp) -> None:
        self._http = http

    def issue(self, pod: Pod) -> str:
        bound = {"apiVersion": "v1", "kind": "Pod", "name": pod.name, "uid": pod.uid}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"boundObjectRef": bound}}
        path = f"{SERVICE_ACCOUNTS.path(pod.namespace, pod.service_account)}/token"
        return str(ok(self._http.post(path, body))["status"]["token"])

    def revoke(self, pod_uid: str) -> None:
        return


@contextmanager
def process_node(kubeconfig: Path, folder: Path) -> Iterator[Folders]:
    """In a thread with a loop of its own. `folder` holds the pods and, below `volumes`, the claims."""
    folders, started, stop = Folders(folder), threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        client = KubeClient(_Scheduling(from_kubeconfig(kubeconfig)))
        with KubeHttp(kubeconfig) as http:
            node = Node(_context(client, http, kubeconfig, folders))
            running = asyncio.create_task(node.run())
            await node.ready.wait()
            started.set()
            await stop.wait()
            await node.stop()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        await client.close()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), name="process-node", daemon=True)
    thread.start()
    try:
        wait_for(started.is_set, what="the node to be ready")
        yield folders
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(timeout=30)


def _context(client: KubeClient, http: KubeHttp, kubeconfig: Path, folders: Folders) -> NodeContext:
    server = from_kubeconfig(kubeconfig).server
    base_env = container_environment(LocalSettings(), os.environ, server)
    sandbox = find_sandbox(base_env, folders.data)
    assert isinstance(sandbox, Sandbox), sandbox
    return NodeContext(
        client=client,
        launcher=SandboxLauncher(sandbox, find_cgroups()),
        folders=folders,
        tokens=_PodTokens(http),
        base_env=base_env,
        limits=PodLimits(),
        usage=UsageWatch(),
        now=lambda: datetime.now(UTC),
    )
