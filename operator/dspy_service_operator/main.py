"""`dspy-service-operator`: settings -> client, checks, store -> the operator, which kopf drives once it leads."""

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from dspy_service_core.checks import job_checks
from dspy_service_core.checks.models.endpoints import Hosts
from dspy_service_core.errors import ServiceError
from dspy_service_core.kube import config as kube_config
from dspy_service_core.kube.client import KubeClient, OnRequest
from dspy_service_core.kube.errors import KubeError
from dspy_service_core.kube.http_transport import HttpTransport
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS
from dspy_service_core.registry.registry import Registry
from dspy_service_core.registry.registry_file import RegistryError
from dspy_service_core.resource.spec.run_defaults import MOST_THREADS
from dspy_service_core.side_server import SideAnswer, side_server
from dspy_service_core.storage.store import open_store
from dspy_service_operator.controller import Controller
from dspy_service_operator.handlers import drive
from dspy_service_operator.leader.election import Timing
from dspy_service_operator.leader.leadership import Leadership, LeaseName, own_identity
from dspy_service_operator.monitoring.health import address_of
from dspy_service_operator.monitoring.telemetry import Telemetry
from dspy_service_operator.reconcile.prerequisites import Check
from dspy_service_operator.settings import OperatorSettings, load

log = logging.getLogger("dspy_service_operator")

_COLLECT_AFTER = 10_000
"""Garbage is collected after so many new objects; one event of a watch makes some hundred."""
_SPARE_CONNECTIONS = 8
"""Connections for Events, resync and sweep, beside one for each worker."""


def main() -> None:
    settings = load()
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("kopf", "aiohttp.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    _spare_the_collector()
    try:
        asyncio.run(_run_until_asked(settings))
    except (kube_config.ConfigError, RegistryError, ServiceError) as exc:
        sys.exit(f"dspy-service-operator: {exc}")


async def run(settings: OperatorSettings, stop: asyncio.Event) -> None:
    cluster, telemetry = kube_config.load(settings.kubeconfig or None), make_telemetry(settings)
    async with AsyncExitStack() as opened:
        if settings.metrics_port:
            metrics = side_server(settings.metrics_host, settings.metrics_port, telemetry.pages())
            await opened.enter_async_context(metrics)
        async with _standing_by(settings):
            operator = await _leading_operator(settings, cluster, telemetry, stop, opened)
        if operator is not None:
            await drive(operator, cluster, stop, own_identity())


async def _run_until_asked(settings: OperatorSettings) -> None:
    """kopf handles the signals while it runs; before that, we do."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await run(settings, stop)


async def _leading_operator(
    settings: OperatorSettings,
    cluster: kube_config.ClusterConfig,
    telemetry: Telemetry,
    stop: asyncio.Event,
    opened: AsyncExitStack,
) -> Controller | None:
    """Waits until this replica leads and the cluster knows our kind; None if it is asked to stop before it leads.

    `opened` closes what was opened here; the Lease is given back last.
    """
    on_request: OnRequest = telemetry.asked
    if settings.lease_name:
        leadership = await opened.enter_async_context(_leadership(settings, cluster))
        if not await leadership.acquire(stop):
            return None
        await opened.enter_async_context(leadership.kept())
        on_request = _only_as_leader(leadership, telemetry.asked)
    telemetry.leads(True)
    client = KubeClient(HttpTransport(cluster, connections=settings.workers + _SPARE_CONNECTIONS), on_request)
    opened.push_async_callback(client.close)
    store = open_store(settings.store_url) if settings.store_url else None
    registry = Registry.load(settings.registry or None)
    ports = frozenset(map(int, settings.own_ports))
    check = make_check(registry, settings.allowed_base_url_hosts, ports, settings.most_threads)
    operator = Controller(client, settings, check, registry, store, client.server_time, telemetry)
    await _wait_for_cluster(client, operator.namespaces[0], stop)
    return operator


def _only_as_leader(leadership: Leadership, told: OnRequest) -> OnRequest:
    def on_request(verb: str, resource: str) -> None:
        leadership.fence()
        told(verb, resource)

    return on_request


def make_telemetry(settings: OperatorSettings) -> Telemetry:
    if not settings.metrics_port:
        return Telemetry()
    from dspy_service_operator.monitoring.metrics import Metrics  # here: its library costs memory, for this alone

    return Metrics()


@asynccontextmanager
async def _standing_by(settings: OperatorSettings) -> AsyncIterator[None]:
    """Answers the liveness probe until kopf runs and answers it itself."""
    if not settings.liveness_address:
        yield
        return
    host, port, path = address_of(settings.liveness_address)
    async with side_server(host, port, {path: lambda: SideAnswer(b"ok")}):
        yield


@asynccontextmanager
async def _leadership(settings: OperatorSettings, cluster: kube_config.ClusterConfig) -> AsyncIterator[Leadership]:
    """With a connection of its own, so that a renewal never waits behind other requests."""
    timing = Timing(settings.lease_seconds)
    client = KubeClient(HttpTransport(cluster, request_timeout=timing.renew_seconds, connections=1))
    lease = LeaseName(settings.lease_namespace or cluster.namespace, settings.lease_name)
    try:
        yield Leadership(client, lease, timing, own_identity())
    finally:
        await client.close()


def make_check(
    registry: Registry,
    base_url_hosts: Hosts = (),
    own_ports: frozenset[int] = frozenset(),
    most_threads: int = MOST_THREADS,
) -> Check:
    installation = job_checks.Installation(registry, base_url_hosts, own_ports, most_threads)
    return lambda spec, contents: job_checks.check_resource(spec, installation, contents)


def _spare_the_collector() -> None:
    """Excludes everything imported from garbage collection, which would otherwise take a fifth of an event's time."""
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 50)


async def _wait_for_cluster(client: KubeClient, namespace: str | None, stop: asyncio.Event) -> None:
    """kopf reads the list of kinds only once, so ours must be in it before kopf starts."""
    while not stop.is_set():
        try:
            await client.list(OPTIMIZATION_JOBS, namespace, limit=1)
            return
        except KubeError as exc:
            log.info("waiting for the cluster: %s", exc)
            await asyncio.sleep(0.5)
