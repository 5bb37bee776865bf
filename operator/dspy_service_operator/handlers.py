"""kopf drives the operator: our work begins at its startup and ends at its cleanup. Every event of a job, a Job or a
pod of ours updates the view and puts a key into the work queue. `watch/kopf_settings.py` says what is used of kopf."""

import asyncio
import time
from typing import Any, cast

from dspy_service_core.kube.config import ClusterConfig
from dspy_service_core.kube.protocol import Object
from dspy_service_core.kube.resources import JOBS, OPTIMIZATION_JOBS, PODS
from dspy_service_operator.controller import EVERY_NAMESPACE, Controller
from dspy_service_operator.monitoring.health import trouble
from dspy_service_operator.watch.kopf_session import Watches, open_session
from dspy_service_operator.watch.kopf_settings import make_settings, selector
from dspy_service_operator.watch.lifetime import Lifetime
from dspy_service_operator.watch.light_kopf import kopf
from dspy_service_operator.watch.resync import SELECTORS


async def drive(operator: Controller, cluster: ClusterConfig, stop: asyncio.Event, identity: str) -> None:
    """Runs until it is asked to stop. If kopf or our own work fails, the error is raised."""
    settings, lifetime = operator.settings, Lifetime(operator.running, stop)
    everywhere = EVERY_NAMESPACE in settings.namespaces
    paths = [resource.path(namespace) for resource in SELECTORS for namespace in operator.namespaces]
    watches = Watches(paths, operator.listed_anew)
    registry = kopf.OperatorRegistry()
    _live(registry, operator, lifetime, watches)
    _log_in(registry, cluster, watches)
    _see(registry, operator)
    async with lifetime.patience():
        await kopf.operator(
            registry=registry,
            settings=make_settings(),
            # kopf's own names the system's user, which an image need not know. Its type is private to kopf.
            identity=cast(Any, identity),
            clusterwide=everywhere,
            namespaces=() if everywhere else settings.namespaces,
            liveness_endpoint=settings.liveness_address or None,
            stop_flag=stop,
        )
    lifetime.raise_failure()


def _live(registry: kopf.OperatorRegistry, operator: Controller, lifetime: Lifetime, watches: Watches) -> None:
    @kopf.on.startup(registry=registry)
    async def begin(**_: Any) -> None:
        lifetime.begin()

    @kopf.on.cleanup(registry=registry)
    async def end(**_: Any) -> None:
        await lifetime.end()

    @kopf.on.probe(registry=registry, id="operator")
    async def alive(**_: Any) -> str:
        """It raises `PermanentError`, because kopf would retry after any other error and leave the probe unanswered."""
        if wrong := trouble(operator.last_resync, watches.heard, time.monotonic(), operator.settings.resync_seconds):
            raise kopf.PermanentError(wrong)
        return "ok"


def _log_in(registry: kopf.OperatorRegistry, cluster: ClusterConfig, watches: Watches) -> None:
    @kopf.on.login(registry=registry)
    async def log_in(**_: Any) -> kopf.AiohttpSession:
        return kopf.AiohttpSession(server=cluster.server, aiohttp_session=open_session(cluster, watches))


def _see(registry: kopf.OperatorRegistry, operator: Controller) -> None:
    @kopf.on.event(*selector(OPTIMIZATION_JOBS), registry=registry)
    async def job_event(event: kopf.RawEvent, **_: Any) -> None:
        operator.job_event(event["type"], _object(event))

    @kopf.on.event(*selector(JOBS), registry=registry)
    async def child_event(event: kopf.RawEvent, **_: Any) -> None:
        operator.child_event(operator.view.jobs, event["type"], _object(event))

    @kopf.on.event(*selector(PODS), registry=registry)
    async def pod_event(event: kopf.RawEvent, **_: Any) -> None:
        operator.child_event(operator.view.pods, event["type"], _object(event))


def _object(event: kopf.RawEvent) -> Object:
    return dict(event["object"])
