"""GET /jobs/{id}/stream: server-sent events, so that watching a job takes one request.

A stream ends with the job. It may end before: its last event is then `closed`, with the body that an error would have,
and the reader goes on from the last id that it got (`Last-Event-ID`), here or at another replica. That happens to
whoever takes so long to read that it is behind, to whom the job is no longer theirs to read, and when the job is
removed.
"""

import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import orjson
from fastapi import APIRouter
from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.responses import Response

from dspy_service_api.answers import error_codes
from dspy_service_api.answers.stream import JobStream, News
from dspy_service_api.http.access.permissions import needs
from dspy_service_api.http.middleware.request_log import Visit
from dspy_service_api.http.problems import SLOW_READER, Problem
from dspy_service_api.http.routes import examples
from dspy_service_api.http.routes.answers import Declared, errors
from dspy_service_api.http.routes.direct import DirectRoute
from dspy_service_api.http.routes.jobs import Named
from dspy_service_api.jobs.position import Position
from dspy_service_api.service import service_of

log = logging.getLogger(__name__)
router = APIRouter(prefix="/jobs", tags=["jobs"], route_class=DirectRoute)

HEADER = "Last-Event-ID"
_RETRY_MILLISECONDS = 2000
_ASK_AGAIN_SECONDS = 30.0
"""How often it is asked anew whether the reader may read the job: a token may have expired meanwhile."""

_STREAM: Declared = {
    200: {
        "description": "`event`, `log` and `candidate` with an entry as in `/events`, `/logs` and `/candidates`, "
        "`status` with the summary after them, all as JSON in `data`; each with an id. The last `status` is the job's "
        "end; `closed` says, with an error's body, why the stream ends before.",
        "content": {
            "text/event-stream": {"schema": {"type": "string"}, "examples": {"stream": {"value": examples.STREAM}}}
        },
    },
    204: {"description": "The reader has heard of the job's end."},
}
_PARAMETERS: dict[str, Any] = {
    "parameters": [
        {
            "name": HEADER,
            "in": "header",
            "required": False,
            "description": "The id of the last event that was read: the stream goes on after it.",
            "schema": {"type": "string"},
        },
        {
            "name": "after",
            "in": "query",
            "required": False,
            "description": "The same, for who cannot set headers; the header wins.",
            "schema": {"type": "string"},
        },
    ]
}


@router.get(
    "/{job_id}/stream",
    summary="What is new about a job, as it comes",
    response_model=None,
    responses=_STREAM
    | errors(
        error_codes.UNKNOWN_JOB,
        error_codes.INVALID_REQUEST,
        error_codes.STORE_UNAVAILABLE,
        error_codes.TOO_MANY_STREAMS,
    ),
    openapi_extra=_PARAMETERS,
)
@needs("get")
async def stream(request: Request, job_id: Named) -> Response:
    service, at = service_of(request), _position(request)
    record = await service.jobs.find(job_id)
    if record.finished and at.ended:
        return Response(status_code=204)  # a browser that gets this does not ask again
    service.streams.require_room()
    return EventSourceResponse(_told(request, job_id, at), ping=service.settings.stream_ping_seconds, sep="\n")


def _position(request: Request) -> Position:
    if given := request.headers.get(HEADER):
        return Position.read(given, HEADER)
    return Position.read(request.query_params.get("after", ""), "after")


async def _told(request: Request, job_id: str, at: Position) -> AsyncIterator[bytes]:
    service = service_of(request)
    with service.streams.one_more():
        try:
            yield b"retry: %d\n\n" % _RETRY_MILLISECONDS
            async with aclosing(_while_allowed(request, job_id, at)) as found:
                async for news in found:
                    began = time.monotonic()
                    yield news.encoded()
                    if time.monotonic() - began > service.settings.stream_behind_seconds:
                        log.info("a reader of job %s's stream is too slow: it is closed", job_id)
                        yield _closed(SLOW_READER)
                        return
        except _Refused as exc:
            yield _closed(exc.problem)
        except Exception as exc:
            yield _closed(Visit.of(request.scope).failure(exc))


class _Refused(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


async def _while_allowed(request: Request, job_id: str, at: Position) -> AsyncGenerator[News, None]:
    """Before something is told, the reader's right to it is looked at again, if that was long ago."""
    asked = time.monotonic()
    async with aclosing(JobStream(service_of(request).jobs, job_id, at).news()) as found:
        async for news in found:
            if time.monotonic() - asked > _ASK_AGAIN_SECONDS:
                if refusal := await request.state.refusal(job_id):
                    raise _Refused(Problem(error_codes.FORBIDDEN, refusal))
                asked = time.monotonic()
            yield news


def _closed(problem: Problem) -> bytes:
    return b"event: closed\ndata: %b\n\n" % orjson.dumps(problem.body)
