"""kopf's side: every event of a job, a Job or a pod of ours becomes a look at the view and a key in the work queue.

Only `on.event`: it needs no finalizer, writes no annotation and stores nothing in the resource. What kopf's handlers
for changes offer (retries, diffs) would cost a PATCH for each object, and the work queue retries by itself.
"""

import asyncio
from typing import Any

import aiohttp
import kopf

from dspy_service_core.kube import config as kube_config
from dspy_service_core.kube.protocol import Object
from dspy_service_core.kube.resources import JOBS, OPTIMIZATION_JOBS, PODS, Resource
from dspy_service_operator.bounded_response import BoundedResponse
from dspy_service_operator.controller import Controller
from dspy_service_operator.resync import OURS, UNFINISHED


class NoDiffBase(kopf.DiffBaseStorage):
    """kopf keeps no copy of a resource in its annotations, nor builds one at every event."""

    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        return


def make_settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.queueing.worker_limit = None
    settings.queueing.idle_timeout = 1.0
    settings.queueing.exit_timeout = 1.0
    settings.watching.server_timeout = 300
    settings.watching.connect_timeout = 10
    settings.watching.chunk_size = 250
    settings.watching.label_selectors[_selector(OPTIMIZATION_JOBS)] = UNFINISHED
    for resource in (JOBS, PODS):
        settings.watching.label_selectors[_selector(resource)] = OURS
    return settings


def register(operator: Controller, cluster: kube_config.ClusterConfig, stop: asyncio.Event) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.AiohttpSession:
        return kopf.AiohttpSession(server=cluster.server, aiohttp_session=_session(cluster))

    @kopf.on.event(*_selector(OPTIMIZATION_JOBS), registry=registry)
    async def job_event(event: kopf.RawEvent, **_: Any) -> None:
        operator.job_event(event["type"], _object(event))

    @kopf.on.event(*_selector(JOBS), registry=registry)
    async def child_event(event: kopf.RawEvent, **_: Any) -> None:
        operator.child_event(operator.view.jobs, event["type"], _object(event))

    @kopf.on.event(*_selector(PODS), registry=registry)
    async def pod_event(event: kopf.RawEvent, **_: Any) -> None:
        operator.child_event(operator.view.pods, event["type"], _object(event))

    @kopf.on.cleanup(registry=registry)
    async def ending(**_: Any) -> None:
        """A signal reaches kopf alone, which then waits 5 s for its own waiter on the flag that it was given."""
        stop.set()

    return registry


def _selector(resource: Resource) -> tuple[str, str, str]:
    return resource.group, resource.version, resource.plural


def _object(event: kopf.RawEvent) -> Object:
    return dict(event["object"])


def _session(cluster: kube_config.ClusterConfig) -> aiohttp.ClientSession:
    """kopf's requests with the same rotating token as our own, and answers that its parser can read."""

    async def authorize(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        request.headers.update(cluster.tokens.header())
        return await handler(request)

    connector = aiohttp.TCPConnector(ssl=cluster.ssl_context or True, limit=0)
    return aiohttp.ClientSession(connector=connector, middlewares=(authorize,), response_class=BoundedResponse)
