"""`dspy-service-operator`: settings -> client, checks, store -> the operator, with kopf as its eyes."""

import asyncio
import gc
import logging
import sys

import kopf

from dspy_service_core import checks
from dspy_service_core.endpoints import Hosts
from dspy_service_core.errors import ServiceError
from dspy_service_core.job import OptimizationJobSpec
from dspy_service_core.kube import config as kube_config
from dspy_service_core.kube.client import HttpKubeClient
from dspy_service_core.kube.errors import KubeError
from dspy_service_core.kube.protocol import KubeClient
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS
from dspy_service_core.registry import Registry
from dspy_service_core.registry_file import RegistryError
from dspy_service_core.store import open_store
from dspy_service_operator.controller import EVERY_NAMESPACE, Controller
from dspy_service_operator.handlers import make_settings, register
from dspy_service_operator.prerequisites import Check, Rows
from dspy_service_operator.settings import OperatorSettings, load

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
        asyncio.run(run(settings))
    except (kube_config.ConfigError, RegistryError, ServiceError) as exc:
        sys.exit(f"dspy-service-operator: {exc}")


async def run(settings: OperatorSettings, stop: asyncio.Event | None = None) -> None:
    """Until SIGTERM or SIGINT, or until `stop` is set."""
    cluster = kube_config.load(settings.kubeconfig or None)
    store = open_store(settings.store_url) if settings.store_url else None
    client = HttpKubeClient(cluster, connections=settings.workers + _SPARE_CONNECTIONS)
    registry = Registry.load(settings.registry or None)
    check = make_check(registry, settings.allowed_base_url_hosts)
    operator = Controller(client, settings, check, registry, store, client.server_time)
    try:
        await _wait_for_cluster(client, operator)
        async with operator.running():
            await kopf.operator(
                registry=register(operator, cluster),
                settings=make_settings(),
                standalone=True,
                clusterwide=EVERY_NAMESPACE in settings.namespaces,
                namespaces=() if EVERY_NAMESPACE in settings.namespaces else settings.namespaces,
                liveness_endpoint=settings.liveness_address or None,
                stop_flag=stop,
            )
    finally:
        await client.close()


def make_check(registry: Registry, base_url_hosts: Hosts = ()) -> Check:
    def check(spec: OptimizationJobSpec, rows: Rows | None, signature: str | None, metric: str | None) -> object:
        return checks.check(checks.spec_input(spec, rows, signature, metric), registry, base_url_hosts)

    return check


def _spare_the_collector() -> None:
    """What was imported stays; without this a fifth of the time that an event costs goes into looking at it again."""
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 50)


async def _wait_for_cluster(client: KubeClient, operator: Controller) -> None:
    """kopf looks once what kinds there are: ours must be among them by then."""
    while True:
        try:
            await client.list(OPTIMIZATION_JOBS, operator.namespaces[0], limit=1)
            return
        except KubeError as exc:
            log.info("waiting for the cluster: %s", exc)
            await asyncio.sleep(0.5)
