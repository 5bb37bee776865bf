"""The whole service in one place: API server, Job controller and node in this process, API and operator as children.

Start: cluster -> its HTTP face -> objects -> node -> children -> health. Stop is the way back: first the operator,
which would answer ended pods with new ones, and the pods, which need the API server to report, then the rest.
"""

import asyncio
import http.client
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from dspy_service_local.apiserver.cluster import Cluster
from dspy_service_local.apiserver.serve import ApiServer
from dspy_service_local.node.jobs.job_controller import JobController
from dspy_service_local.node.node import Node
from dspy_service_local.node.pods.context import Folders, NodeContext
from dspy_service_local.node.pods.pod_logs import NodeLogs
from dspy_service_local.node.processes.launch import PodLimits
from dspy_service_local.node.sandbox.warm import WarmLauncher
from dspy_service_local.node.usage import UsageWatch
from dspy_service_local.settings import LocalSettings
from dspy_service_local.supervision import keep_running
from dspy_service_local.up import bytecode
from dspy_service_local.up.bootstrap import prepare_cluster
from dspy_service_local.up.children import Child, ChildCommand
from dspy_service_local.up.environments import (
    child_environment,
    container_environment,
    model_keys,
    own_ports,
    store_folder,
)
from dspy_service_local.up.launching import choose_launcher
from dspy_service_local.up.own_token import one_time_code
from dspy_service_local.up.pod_tokens import PodTokens

log = logging.getLogger(__name__)

_STOP_SECONDS = 9.5
_HEALTH_SECONDS = 0.05
_COMMANDS = {"api": "dspy_service_api.main:main", "operator": "dspy_service_operator.main:main"}


Part = Callable[[], Awaitable[None]]


class CannotStart(Exception):
    """For the user, in one line."""


@dataclass(frozen=True, slots=True)
class Started:
    url: str
    local_url: str
    """As this machine reaches it."""
    kubeconfig: str
    page: str = ""
    """Where a browser is signed in, once; empty where it need not be."""


def now() -> datetime:
    return datetime.now(UTC)


async def serve(
    settings: LocalSettings,
    environment: Mapping[str, str],
    stop: asyncio.Event,
    say: Callable[[str], None],
    ready: Callable[[Started], None],
) -> None:
    """Until `stop`; `say` is for what the user should know, `ready` is called once."""
    cluster = await Cluster.open(settings.folder)
    server = await ApiServer.start(cluster, port=settings.cluster_port)
    await prepare_cluster(cluster.client, model_keys(settings, environment))
    code = one_time_code(now().timestamp()) if settings.token.get_secret_value() else ""
    children = _children(settings, environment, server, code)
    stops = [child.stop for child in children]
    background = [_running(child.name, child.run) for child in children]
    try:
        node, parts = await _start_node(settings, environment, cluster, server, say)
        stops.append(node.stop)
        background += [_running(name, part) for name, part in parts.items()]
        await _unless_stopped(_healthy(settings), stop)
        if not stop.is_set():
            local_url = _url(_reachable(settings.host), settings.port)
            page = f"{local_url}/page/sign-in?code={code}" if code else ""
            ready(Started(_url(settings.host, settings.port), local_url, str(server.kubeconfig), page))
            await stop.wait()
    finally:
        asyncio.get_running_loop().call_later(_STOP_SECONDS, os._exit, 1)
        await asyncio.gather(*(part_stop() for part_stop in stops))
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await server.stop()
        await cluster.close()


def _running(name: str, part: Part) -> asyncio.Task[None]:
    return asyncio.create_task(keep_running(name, part), name=name)


async def _unless_stopped(work: Awaitable[object], stop: asyncio.Event) -> None:
    awaited = asyncio.ensure_future(work)
    stopped = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait([awaited, stopped], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        awaited.cancel()
        stopped.cancel()


async def _start_node(
    settings: LocalSettings,
    environment: Mapping[str, str],
    cluster: Cluster,
    server: ApiServer,
    say: Callable[[str], None],
) -> tuple[Node, dict[str, Part]]:
    """The node, and what must run for it, by name. What it tries out takes as long as the other parts' imports."""
    store_folder(settings).mkdir(parents=True, exist_ok=True)
    folders = Folders(settings.folder)
    base_env = container_environment(settings, environment, server.url)
    if bytecode.is_missing():
        await bytecode.compile_runner(base_env)
    launcher = await asyncio.to_thread(choose_launcher, settings, base_env, own_ports(settings, server.url), say)
    context = NodeContext(
        client=cluster.client,
        launcher=launcher,
        folders=folders,
        tokens=PodTokens(cluster.tokens),
        base_env=base_env,
        limits=PodLimits(settings.pod_processes, settings.pod_open_files, settings.pod_nice),
        usage=UsageWatch(),
        now=now,
    )
    node = Node(context)
    cluster.set_logs(NodeLogs(folders, node.runs, now))
    controller = JobController(cluster.client, now)
    parts: dict[str, Part] = {"the node": node.run, "the Job controller": controller.run}
    return node, parts | ({"prewarming": launcher.run} if isinstance(launcher, WarmLauncher) else {})


def _children(settings: LocalSettings, environment: Mapping[str, str], server: ApiServer, code: str) -> list[Child]:
    ports = {"api": settings.api_metrics_port, "operator": settings.operator_metrics_port}
    logs = settings.folder / "logs"
    own = {"api": {"DSPY_SERVICE_TOKEN": settings.token.get_secret_value(), "DSPY_SERVICE_PAGE_CODE": code}}
    return [
        Child(
            ChildCommand(
                f"dspy-service-{name}",
                entry,
                child_environment(
                    settings, environment, server.kubeconfig, ports[name], own_ports(settings, server.url)
                )
                | own.get(name, {}),
                logs / f"{name}.log",
            )
        )
        for name, entry in _COMMANDS.items()
    ]


async def _healthy(settings: LocalSettings) -> None:
    deadline = asyncio.get_running_loop().time() + settings.start_timeout_seconds
    while not await asyncio.to_thread(_answers, settings):
        if asyncio.get_running_loop().time() > deadline:
            raise CannotStart(
                f"the API did not answer within {settings.start_timeout_seconds:g} s; see {settings.folder / 'logs'}"
            )
        await asyncio.sleep(_HEALTH_SECONDS)


def _answers(settings: LocalSettings) -> bool:
    connection = http.client.HTTPConnection(_reachable(settings.host), settings.port, timeout=2)
    token = settings.token.get_secret_value()
    with suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/health", headers={"Authorization": f"Bearer {token}"} if token else {})
        return connection.getresponse().status == http.HTTPStatus.OK
    connection.close()
    return False


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
