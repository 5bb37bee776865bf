"""The routes of the web page, at paths of its own: what the HTTP API answers stays as it is, whatever asks for it.

Reading is a GET, with everything that was chosen in the address; what changes something is a form.
"""

from collections.abc import Awaitable, Callable
from functools import partial

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dspy_service_api.http.access.permissions import asks_itself, open_to_all
from dspy_service_api.http.routes.direct import DirectRoute
from dspy_service_api.page import static
from dspy_service_api.page.contract import name
from dspy_service_api.page.handlers import actions, compare, files, health, job, jobs, send, sign_in
from dspy_service_api.page.visit import Handler, Visit, visited

router = APIRouter(include_in_schema=False, route_class=DirectRoute)
_JOB = "/page/jobs/{job_id}"
OfJob = Callable[[Visit, str], Awaitable[Response]]


@router.get(static.PATH + "/{digest}/{file}")
@open_to_all
async def static_file(request: Request, digest: str, file: str) -> Response:
    """The same in every installation."""
    found = static.answer(digest, file)
    if found is None:
        raise HTTPException(404)
    return found


def _page(method: str, path: str, handler: Handler) -> None:
    @router.api_route(path, methods=[method])
    @asks_itself
    async def page(request: Request) -> Response:
        return await visited(request, handler)


def _of_job(method: str, path: str, handler: OfJob) -> None:
    @router.api_route(path, methods=[method])
    @asks_itself
    async def page(request: Request, job_id: str) -> Response:
        return await visited(request, lambda visit: handler(visit, job_id))


_page("GET", "/", jobs.jobs)
_page("GET", "/page/compare", compare.compare)
_page("GET", "/page/health", health.health)
_page("GET", "/page/new", send.new)
_page("GET", "/page/new/arguments", send.arguments)
_page("POST", "/page/new", send.send)
_page("POST", "/page/new/check", send.check)
_page("POST", "/page/new/file", send.from_file)
_page("GET", "/page/sign-in", sign_in.sign_in)
_page("POST", "/page/sign-in", sign_in.signed_in)
_page("POST", "/page/sign-out", sign_in.sign_out)
_of_job("GET", _JOB, job.overview)
for _part, _handler in (
    ("live", job.live),
    ("candidates", job.candidates),
    ("rows", job.rows),
    ("log", job.log),
    ("prompts", job.prompts),
    ("settings", job.settings),
):
    _of_job("GET", f"{_JOB}/{_part}", _handler)
for _verb in actions.ACTIONS:
    _of_job("GET", f"{_JOB}/{_verb}", partial(actions.ask, verb=_verb))
    _of_job("POST", f"{_JOB}/{_verb}", partial(actions.act, verb=_verb))


@router.get(_JOB + "/files/{file}")
@asks_itself
async def download(request: Request, job_id: str, file: str) -> Response:
    return await visited(request, lambda visit: files.download(visit, job_id, file))


@router.get(_JOB + "/candidates/{number}")
@asks_itself
async def candidate(request: Request, job_id: str, number: str) -> Response:
    return await visited(request, lambda visit: job.candidate(visit, job_id, number))


@router.get(_JOB + "/stream")
@asks_itself
async def stream(request: Request, job_id: str) -> Response:
    """The API's own stream, asked for with the visitor's token."""

    async def passed_on(visit: Visit) -> Response:
        return PassedOn(visit, f"/jobs/{name(job_id)}/stream")

    return await visited(request, passed_on)


class PassedOn(Response):
    """Another route's answer as it comes, in this process."""

    def __init__(self, visit: Visit, path: str) -> None:
        super().__init__()
        self._visit = visit
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = {key: value for key, value in scope["headers"] if key == b"last-event-id"}
        given |= {key.encode(): value.encode() for key, value in self._visit.contract.headers.items()}
        kept = ("type", "asgi", "http_version", "scheme", "query_string", "client", "server", "root_path")
        inner = {key: scope[key] for key in kept if key in scope}
        path = {"method": "GET", "path": self._path, "raw_path": self._path.encode()}
        await scope["app"]({**inner, **path, "headers": list(given.items())}, receive, send)
