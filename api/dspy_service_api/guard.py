"""The door, as one plain ASGI middleware before everything else: who may come in, and how much they may carry.

On a loopback address everybody on the machine may call, web pages may not: a page of a foreign site reaches loopback
through the user's browser, with its own Origin, or (DNS rebinding) with its own name in Host. Elsewhere a token is
asked for (`access/`), which no browser sends by itself. Every answer carries the request's id, and the log names it.
"""

import asyncio
import logging
import re
import uuid
from dataclasses import dataclass
from http import HTTPStatus
from time import perf_counter

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dspy_service_api.access.door import Door
from dspy_service_api.origins import LOOPBACK_NAMES, foreign
from dspy_service_api.problems import BodyTooLarge, Problem, answer, problem_of
from dspy_service_api.settings import Settings
from dspy_service_api.telemetry import Telemetry

log = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DRAIN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Rules:
    """`hosts` is None where any will do."""

    hosts: frozenset[str] | None
    origins: frozenset[str]
    body_limit: int
    retry_after: int


def rules_of(settings: Settings) -> Rules:
    hosts = LOOPBACK_NAMES | {host.lower() for host in settings.trusted_hosts}
    return Rules(
        hosts=hosts if settings.on_loopback else None,
        origins=frozenset(origin.lower() for origin in settings.trusted_origins),
        body_limit=settings.body_limit_bytes,
        retry_after=settings.retry_after_seconds,
    )


@dataclass(slots=True)
class Traffic:
    """How many requests are being answered: what can wait, waits for them (`prepare.py`)."""

    open: int = 0


class Guard:
    def __init__(self, app: ASGIApp, rules: Rules, door: Door, traffic: Traffic, telemetry: Telemetry) -> None:
        self._app = app
        self._telemetry = telemetry
        self._rules = rules
        self._door = door
        self._traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = _few(scope)
        visit = _Visit(scope, send, _request_id(headers))
        self._traffic.open += 1
        try:
            await self._answer(scope, receive, headers, visit)
        finally:
            self._traffic.open -= 1
        visit.tell(self._telemetry)

    async def _answer(self, scope: Scope, receive: Receive, headers: dict[bytes, bytes], visit: "_Visit") -> None:
        refusal = await self._refusal(scope, headers, visit)
        if refusal:
            await answer(refusal, self._rules.retry_after)(scope, receive, visit.send)
        elif _announced(headers) > self._rules.body_limit:
            await self._too_large(scope, receive, visit)
        else:
            await self._admit(scope, receive, visit)

    async def _admit(self, scope: Scope, receive: Receive, visit: "_Visit") -> None:
        meter = _Meter(receive, self._rules.body_limit)
        try:
            await self._app(scope, meter.receive, visit.send)
        except BodyTooLarge:
            await self._too_large(scope, receive, visit)
        except ClientDisconnect:
            return  # nobody is there to be answered
        except Exception as exc:
            if visit.status:  # the answer has begun: only closing the connection can tell now
                raise
            await answer(_failure(exc, visit), self._rules.retry_after)(scope, receive, visit.send)

    async def _too_large(self, scope: Scope, receive: Receive, visit: "_Visit") -> None:
        """Most clients read an answer only when they have sent everything: a body somewhat too large is let run out."""
        await _drain(receive, self._rules.body_limit)
        problem = problem_of(BodyTooLarge(self._rules.body_limit))
        closing = Problem(problem.status, problem.body, headers={"Connection": "close"})
        await answer(closing, self._rules.retry_after)(scope, receive, visit.send)

    async def _refusal(self, scope: Scope, headers: dict[bytes, bytes], visit: "_Visit") -> Problem | None:
        if self._rules.hosts is not None and (detail := foreign(headers, self._rules.hosts, self._rules.origins)):
            return Problem(403, {"detail": detail})
        try:
            visitor = await self._door.ask(scope["method"], scope["path"], headers)
        except Exception as exc:
            return _failure(exc, visit)
        if isinstance(visitor, Problem):
            return visitor
        scope["state"]["visitor"] = visitor.name
        return None


class _Visit:
    """One request: adds its id to the answer, remembers the status for the log."""

    def __init__(self, scope: Scope, send: Send, request_id: str) -> None:
        self._scope = scope
        self._send = send
        self._began = perf_counter()
        self.request_id = request_id
        self.status = 0
        scope.setdefault("state", {})["request_id"] = request_id

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message)["X-Request-ID"] = self.request_id
        await self._send(message)

    def tell(self, telemetry: Telemetry) -> None:
        method, seconds = self._scope["method"], perf_counter() - self._began
        telemetry.answered(method, _template(self._scope), self.status, seconds)
        level = logging.DEBUG if method in ("GET", "HEAD") and self.status < 500 else logging.INFO
        if log.isEnabledFor(level):
            told = {"request_id": self.request_id, "status": self.status, "milliseconds": round(seconds * 1000, 1)}
            log.log(level, "%s %s", method, self._scope["path"], extra=told)


class _Meter:
    """Counts a body while it comes in; one that announced no length is stopped as well."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._left = limit

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                raise BodyTooLarge(self._limit)
        return message


def _failure(exc: Exception, visit: _Visit) -> Problem:
    problem = problem_of(exc)
    told = {"request_id": visit.request_id}
    if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        log.exception("unforeseen", extra=told)
    else:
        log.warning("%s", exc, extra=told)
    return problem


async def _drain(receive: Receive, most: int) -> None:
    left = most
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            while left > 0:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body"):
                    return
                left -= len(message.get("body", b""))
    except TimeoutError:
        return


def _template(scope: Scope) -> str:
    """Of the route that the router has found; empty for what was refused before."""
    return str(getattr(scope.get("route"), "path", ""))


def _few(scope: Scope) -> dict[bytes, bytes]:
    """ASGI's header names are lower case; of a repeated one the last counts, but for a Host that was sent twice."""
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        headers[name] = b"" if name == b"host" and name in headers else value
    return headers


def _request_id(headers: dict[bytes, bytes]) -> str:
    given = headers.get(b"x-request-id", b"").decode("latin-1")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _announced(headers: dict[bytes, bytes]) -> int:
    length = headers.get(b"content-length", b"")
    return int(length) if length.isdigit() else 0
