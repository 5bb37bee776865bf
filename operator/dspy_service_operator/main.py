"""`dspy-service-operator`: settings -> client, checks, store -> the operator, with kopf as its eyes."""

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

import kopf

from dspy_service_core import checks
from dspy_service_core.endpoints import Hosts
from dspy_service_core.errors import ServiceError
from dspy_service_core.kube import config as kube_config
from dspy_service_core.kube.client import KubeClient, OnRequest
from dspy_service_core.kube.errors import KubeError
from dspy_service_core.kube.http_transport import HttpTransport
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS
from dspy_service_core.registry import Registry
from dspy_service_core.registry_file import RegistryError
from dspy_service_core.side_server import side_server
from dspy_service_core.store import open_store
from dspy_service_operator.controller import EVERY_NAMESPACE, Controller
from dspy_service_operator.election import Timing
from dspy_service_operator.handlers import make_settings, register
from dspy_service_operator.health import Health, address_of, resync_check
from dspy_service_operator.leadership import Leadership, LeaseName, own_identity
from dspy_service_operator.prerequisites import Check
from dspy_service_operator.settings import OperatorSettings, load
from dspy_service_operator.telemetry import Telemetry

log = logging.getLogger("dspy_service_operator")

_COLLECT_AFTER = 10_000
"""Objects: an event of the watches makes some hundred."""
_SPARE_CONNECTIONS = 8
"""Beside the workers': Events, resync, sweep."""


def main() -> None:
    settings = load()
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("kopf").setLevel(logging.WARNING)
    _spare_the_collector()
    try:
        asyncio.run(_run_until_asked(settings))
    except (kube_config.ConfigError, RegistryError, ServiceError) as exc:
        sys.exit(f"dspy-service-operator: {exc}")


async def run(settings: OperatorSettings, stop: asyncio.Event) -> None:
    cluster = kube_config.load(settings.kubeconfig or None)
    telemetry, health = make_telemetry(settings), Health()
    async with _served(settings, telemetry, health):
        if not settings.lease_name:
            telemetry.leads(True)
            await _operate(settings, cluster, telemetry.asked, telemetry, health, stop)
            return
        async with _leadership(settings, cluster) as leadership:

            def only_as_leader(verb: str, resource: str) -> None:
                leadership.fence()
                telemetry.asked(verb, resource)

            if not await leadership.acquire(stop):
                return
            async with leadership.kept():
                telemetry.leads(True)
                await _operate(settings, cluster, only_as_leader, telemetry, health, stop)


async def _run_until_asked(settings: OperatorSettings) -> None:
    """kopf minds the signals while it runs; until then they are ours."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await run(settings, stop)


async def _operate(
    settings: OperatorSettings,
    cluster: kube_config.ClusterConfig,
    on_request: OnRequest,
    telemetry: Telemetry,
    health: Health,
    stop: asyncio.Event,
) -> None:
    store = open_store(settings.store_url) if settings.store_url else None
    client = KubeClient(HttpTransport(cluster, connections=settings.workers + _SPARE_CONNECTIONS), on_request)
    registry = Registry.load(settings.registry or None)
    check = make_check(registry, settings.allowed_base_url_hosts, frozenset(map(int, settings.own_ports)))
    operator = Controller(client, settings, check, registry, store, client.server_time, telemetry)
    health.check = resync_check(lambda: operator.last_resync, settings.resync_seconds)
    try:
        await _wait_for_cluster(client, operator, stop)
        async with operator.running():
            await kopf.operator(
                registry=register(operator, cluster, stop),
                settings=make_settings(),
                standalone=True,
                # kopf's own names the system's user, which an image need not know. Its type is private to kopf.
                identity=cast(Any, own_identity()),
                clusterwide=EVERY_NAMESPACE in settings.namespaces,
                namespaces=() if EVERY_NAMESPACE in settings.namespaces else settings.namespaces,
                stop_flag=stop,
            )
    finally:
        await client.close()


def make_telemetry(settings: OperatorSettings) -> Telemetry:
    if not settings.metrics_port:
        return Telemetry()
    from dspy_service_operator.metrics import Metrics  # here: its library costs memory that nobody uses otherwise

    return Metrics()


@asynccontextmanager
async def _served(settings: OperatorSettings, telemetry: Telemetry, health: Health) -> AsyncIterator[None]:
    """From the first moment on: who stands by is alive too."""
    async with AsyncExitStack() as servers:
        if settings.metrics_port:
            metrics = side_server(settings.metrics_host, settings.metrics_port, telemetry.pages())
            await servers.enter_async_context(metrics)
        if settings.liveness_address:
            host, port, path = address_of(settings.liveness_address)
            await servers.enter_async_context(side_server(host, port, {path: health.page}))
        yield


@asynccontextmanager
async def _leadership(settings: OperatorSettings, cluster: kube_config.ClusterConfig) -> AsyncIterator[Leadership]:
    """On a connection of its own: a renewal must not wait for one behind the operator's requests."""
    timing = Timing(settings.lease_seconds)
    client = KubeClient(HttpTransport(cluster, request_timeout=timing.renew_seconds, connections=1))
    lease = LeaseName(settings.lease_namespace or cluster.namespace, settings.lease_name)
    try:
        yield Leadership(client, lease, timing, own_identity())
    finally:
        await client.close()


def make_check(registry: Registry, base_url_hosts: Hosts = (), own_ports: frozenset[int] = frozenset()) -> Check:
    installation = checks.Installation(registry, base_url_hosts, own_ports)
    return lambda spec, contents: checks.check_resource(spec, installation, contents)


def _spare_the_collector() -> None:
    """What was imported stays; without this a fifth of the time that an event costs goes into looking at it again."""
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 50)


async def _wait_for_cluster(client: KubeClient, operator: Controller, stop: asyncio.Event) -> None:
    """kopf looks once what kinds there are: ours must be among them by then."""
    while not stop.is_set():
        try:
            await client.list(OPTIMIZATION_JOBS, operator.namespaces[0], limit=1)
            return
        except KubeError as exc:
            log.info("waiting for the cluster: %s", exc)
            await asyncio.sleep(0.5)
