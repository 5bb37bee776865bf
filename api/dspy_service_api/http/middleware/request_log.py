"""The outermost middleware: gives every request an id, logs and counts it, and adds to every answer the id and the
headers that browsers and caches must obey.

Failures are logged here too, under the request's id, whichever middleware answers them.
"""

import logging
import re
from random import getrandbits
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dspy_service_api.answers import error_codes
from dspy_service_api.http.problems import Problem, problem_of
from dspy_service_api.monitoring.telemetry import Telemetry

log = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NO_SNIFFING = (b"x-content-type-options", b"nosniff")
_PRIVATE = ((b"cache-control", b"private, no-cache"),)


class RequestLog:
    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self._app = app
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no such routes, and nothing would ask who calls one
            await send({"type": "websocket.close", "code": 1008})
            return
        visit = Visit(scope, send, _request_id(scope))
        await self._app(scope, receive, visit.send)
        visit.tell(self._telemetry)


class Visit:
    """One request: adds its id to the answer and remembers the status for the log."""

    def __init__(self, scope: Scope, send: Send, request_id: str) -> None:
        self._scope = scope
        self._send = send
        self._began = perf_counter()
        self.request_id = request_id
        self.status = 0
        """The answer's status; 0 until the answer has begun."""
        self.private = True
        scope.setdefault("state", {}).update(request_id=request_id, visit=self)

    @staticmethod
    def of(scope: Scope) -> "Visit":
        found: Visit = scope["state"]["visit"]
        return found

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = [_NO_SNIFFING, (b"x-request-id", self.request_id.encode())]
            message["headers"] = [*message.get("headers", ()), *own, *(_PRIVATE if self.private else ())]
        await self._send(message)

    def failure(self, exc: Exception) -> Problem:
        """Logs the error and returns the answer to it."""
        problem = problem_of(exc)
        told = {"request_id": self.request_id}
        if problem.code is error_codes.INTERNAL_ERROR:
            log.exception("unforeseen", extra=told)
        else:
            log.warning("%s", exc, extra=told)
        return problem

    def tell(self, telemetry: Telemetry) -> None:
        method, seconds = self._scope["method"], perf_counter() - self._began
        telemetry.answered(method, _template(self._scope), self.status, seconds)
        level = logging.DEBUG if method in ("GET", "HEAD") and self.status < 500 else logging.INFO
        if log.isEnabledFor(level):
            told = {"request_id": self.request_id, "status": self.status, "milliseconds": round(seconds * 1000, 1)}
            log.log(level, "%s %s", method, self._scope["path"], extra=told)


def _template(scope: Scope) -> str:
    """Template of the route that the router found, such as /jobs/{job_id}; empty if the request was refused before."""
    return str(getattr(scope.get("route"), "path", ""))


def _request_id(scope: Scope) -> str:
    """The client's own id (the last, if it sent several) if it is short and plain; else a new one."""
    given = next((value for name, value in reversed(scope["headers"]) if name == b"x-request-id"), b"")
    found = given.decode("latin-1")
    return found if _REQUEST_ID.fullmatch(found) else f"{getrandbits(128):032x}"
