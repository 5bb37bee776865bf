"""Builds the ASGI application from settings, cluster, store and the checks of a submit.

Everything with a side effect is handed in, so that tests can hand in something else than `main.py` does.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from dspy_service_api.answers import present
from dspy_service_api.answers.answer_cache import AnswerCache
from dspy_service_api.answers.job_answers import Jobs
from dspy_service_api.background import Background
from dspy_service_api.control.control import Control
from dspy_service_api.control.remove import Removals
from dspy_service_api.http import openapi, problems
from dspy_service_api.http.access.authenticator import Authenticator, NoAuthentication, TokenAuthenticator
from dspy_service_api.http.access.kubernetes import KubernetesAuthenticator
from dspy_service_api.http.access.permissions import RouteMap
from dspy_service_api.http.access.reviews import Reviews
from dspy_service_api.http.access.session_key import session_key
from dspy_service_api.http.middleware.access_control import AccessControl, KnownSites
from dspy_service_api.http.middleware.body_limit import BodyLimit
from dspy_service_api.http.middleware.request_log import RequestLog
from dspy_service_api.http.routes import documents, health, jobs, page, run, stream
from dspy_service_api.jobs.cache import JobCache
from dspy_service_api.jobs.record import Json
from dspy_service_api.jobs.rows import RowPages
from dspy_service_api.monitoring.telemetry import Telemetry
from dspy_service_api.page.visit import Page
from dspy_service_api.serve.memory import Work
from dspy_service_api.serve.streams import Streams
from dspy_service_api.service import Service
from dspy_service_api.settings import Settings
from dspy_service_api.submit import idempotency
from dspy_service_api.submit.job_objects import Acceptance
from dspy_service_api.submit.payloads import Payloads
from dspy_service_api.submit.submits import Submits
from dspy_service_api.submit.write_job import JobWriter
from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.reflector import Reflector
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS
from dspy_service_core.storage.store import Store


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
    _add_middleware(app, settings, _authenticator(settings, cluster), telemetry)
    problems.install(app, settings.retry_after_seconds)
    routers = (
        jobs.router,
        stream.router,
        run.router,
        health.router,
    )  # matched in this order: reads are the most frequent
    for router in routers:
        app.include_router(router)
    app.include_router(documents.router)
    if settings.page:
        app.include_router(page.router)
        app.state.page = _page(settings, cluster)
    openapi.install(app, routers, acceptance.request_schemas())
    return app


def _add_middleware(app: FastAPI, settings: Settings, authenticator: Authenticator, telemetry: Telemetry) -> None:
    """A middleware that is added later is called earlier."""
    retry_after = settings.retry_after_seconds
    app.add_middleware(
        BodyLimit, limit=settings.body_limit_bytes, memory=settings.bodies_memory_bytes, retry_after=retry_after
    )
    app.add_middleware(
        AccessControl,
        sites=KnownSites.of(settings),
        routes=RouteMap(lambda: app.routes, lambda typed: app.state.service.jobs.id_of(typed)),
        authenticator=authenticator,
        retry_after=retry_after,
    )
    app.add_middleware(RequestLog, telemetry=telemetry)
    if settings.trusted_origins:
        app.add_middleware(
            Cors,
            allow_origins=settings.trusted_origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", idempotency.HEADER, "If-None-Match", "X-Request-ID"],
            expose_headers=["ETag", "Retry-After", "Warning", "X-Request-ID"],
        )


class Cors(CORSMiddleware):
    """Outermost, because browsers send preflight requests without a token. Its own answers need the header that
    `RequestLog` adds to all others."""

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def _page(settings: Settings, cluster: KubeClient) -> Page:
    return Page(
        asks_for_token=settings.auth != "none",
        key=session_key(settings, cluster),
        lifetime=settings.page_session_seconds,
        one_time_code=settings.page_code.get_secret_value(),
        token=settings.token.get_secret_value(),
    )


def _service(settings: Settings, cluster: KubeClient, store: Store, acceptance: Acceptance) -> Service:
    cache = JobCache()
    work = Work(settings.work_memory_bytes, settings.work_wait_seconds)
    answers = AnswerCache(settings.answer_cache_bytes)
    found = Jobs(cluster, cache, store, settings.namespace, settings.newest_entries, RowPages(store), answers)
    return Service(
        settings=settings,
        cache=cache,
        reflector=Reflector(cluster, OPTIMIZATION_JOBS, cache, namespace=settings.namespace),
        jobs=found,
        submits=Submits(JobWriter(cluster, cache, store, settings.namespace), acceptance.accept, work),
        payloads=Payloads(found, work),
        removals=Removals(found, settings.delete_wait_seconds, settings.last_upload_seconds),
        control=Control(found),
        streams=Streams(settings.streams),
        health=present.health(acceptance.assets()),
        catalogue=_made_once(acceptance.catalogue),
        background=Background(),
    )


def _made_once(make: Callable[[], Json]) -> Callable[[], Awaitable[Json]]:
    """In a thread, since it reads what is installed; from then on nobody waits for a thread."""
    kept: list[Json] = []

    async def made() -> Json:
        if not kept:
            kept.append(await asyncio.to_thread(make))
        return kept[0]

    return made


def _authenticator(settings: Settings, cluster: KubeClient) -> Authenticator:
    match settings.auth:
        case "none":
            return NoAuthentication()
        case "token":
            return TokenAuthenticator(settings.token.get_secret_value())
        case "kubernetes":
            audiences = tuple(settings.auth_audiences)
            reviews = Reviews(cluster, settings.namespace, audiences, settings.auth_cache_seconds)
            return KubernetesAuthenticator(reviews, settings.namespace, audiences)
