"""The application, wired: settings, cluster, store and the acceptance of requests in, an ASGI application out.

Everything with a side effect is handed in, so that tests run it on fakes and `main.py` on the real ones.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from dspy_service_api import idempotency, openapi, present, problems
from dspy_service_api.access.demand import Map
from dspy_service_api.access.door import Door, OpenDoor, TokenDoor
from dspy_service_api.access.kubernetes import KubernetesDoor
from dspy_service_api.access.reviews import Reviews
from dspy_service_api.answer_cache import AnswerCache
from dspy_service_api.background import Background
from dspy_service_api.cache import JobCache
from dspy_service_api.guard import Guard, rules_of
from dspy_service_api.jobs import Jobs
from dspy_service_api.layout import Acceptance
from dspy_service_api.memory import Work
from dspy_service_api.remove import Removals
from dspy_service_api.routes import documents, health, jobs, run
from dspy_service_api.service import Service
from dspy_service_api.settings import Settings
from dspy_service_api.submit import Submits
from dspy_service_api.telemetry import Telemetry
from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.reflector import Reflector
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS
from dspy_service_core.store import Store


def create_app(
    settings: Settings,
    cluster: KubeClient,
    store: Store,
    acceptance: Acceptance,
    telemetry: Telemetry | None = None,
) -> FastAPI:
    telemetry = telemetry or Telemetry()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service = _service(settings, cluster, store, acceptance)
        app.state.service = service
        running = asyncio.create_task(service.run())
        async with telemetry.served(service):
            yield
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await service.close()

    app = FastAPI(title="DSPy as a Service", version=version("dspy-service"), lifespan=lifespan, openapi_url=None)
    door = _door(settings, cluster)
    app.add_middleware(Guard, rules=rules_of(settings), routes=Map(lambda: app.routes), door=door, telemetry=telemetry)
    if settings.trusted_origins:
        app.add_middleware(
            Cors,
            allow_origins=settings.trusted_origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", idempotency.HEADER, "If-None-Match", "X-Request-ID"],
            expose_headers=["ETag", "Retry-After", "Warning", "X-Request-ID"],
        )
    problems.install(app, settings.retry_after_seconds)
    routers = (jobs.router, run.router, health.router)  # matched in this order: reads are the most frequent
    for router in routers:
        app.include_router(router)
    app.include_router(documents.router)
    openapi.install(app, routers, acceptance.request_schemas())
    return app


class Cors(CORSMiddleware):
    """Stands before the guard, as browsers ask it without a token, and stamps its own answers as the guard would."""

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def _service(settings: Settings, cluster: KubeClient, store: Store, acceptance: Acceptance) -> Service:
    cache = JobCache()
    work = Work(settings.work_memory_bytes, settings.work_wait_seconds)
    answers = AnswerCache(settings.answer_cache_bytes)
    found = Jobs(cluster, cache, store, settings.namespace, settings.newest_entries, answers)
    return Service(
        settings=settings,
        cache=cache,
        reflector=Reflector(cluster, OPTIMIZATION_JOBS, cache, namespace=settings.namespace),
        jobs=found,
        submits=Submits(cluster, cache, store, settings.namespace, acceptance.accept, work),
        removals=Removals(found, settings.delete_wait_seconds, settings.last_upload_seconds),
        health=present.health(acceptance.assets()),
        background=Background(),
    )


def _door(settings: Settings, cluster: KubeClient) -> Door:
    match settings.auth:
        case "none":
            return OpenDoor()
        case "token":
            return TokenDoor(settings.token.get_secret_value())
        case "kubernetes":
            audiences = tuple(settings.auth_audiences)
            reviews = Reviews(cluster, settings.namespace, audiences, settings.auth_cache_seconds)
            return KubernetesDoor(reviews, settings.namespace, audiences)
