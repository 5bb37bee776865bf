"""The door, as one plain ASGI middleware before everything else: who may come in, and how much they may carry.

A page of a foreign site reaches what its user reaches, through the user's browser, with its own Origin, or (DNS
rebinding) with its own name in Host: `origins.py`. Where a token is asked for (`access/`), no browser sends it by
itself. What a route demands is declared there (`access/demand.py`). Every answer carries the request's id, which the
log names, and tells browsers not to guess its type, nor caches to keep what is a job's.
"""

import asyncio
import logging
import re
from dataclasses import dataclass, replace
from random import getrandbits
from time import perf_counter

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dspy_service_api import error_codes
from dspy_service_api.access.demand import Found, Map, Nowhere
from dspy_service_api.access.door import ANYBODY, Door, Visitor
from dspy_service_api.memory import Busy, Room
from dspy_service_api.origins import foreign_host, foreign_origin
from dspy_service_api.problems import BodyTooLarge, Problem, answer, problem_of
from dspy_service_api.settings import Settings
from dspy_service_api.telemetry import Telemetry

log = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DRAIN_SECONDS = 10.0
_NO_SNIFFING = (b"x-content-type-options", b"nosniff")
_PRIVATE = ((b"cache-control", b"private, no-cache"),)


@dataclass(frozen=True, slots=True)
class Rules:
    """`hosts` is None where any will do."""

    hosts: frozenset[str] | None
    origins: frozenset[str]
    body_limit: int
    bodies_memory: int
    retry_after: int


def rules_of(settings: Settings) -> Rules:
    return Rules(
        hosts=frozenset(host.lower() for host in settings.trusted_hosts) if settings.auth == "none" else None,
        origins=frozenset(origin.lower() for origin in settings.trusted_origins),
        body_limit=settings.body_limit_bytes,
        bodies_memory=max(settings.bodies_memory_bytes, settings.body_limit_bytes),
        retry_after=settings.retry_after_seconds,
    )


class Guard:
    def __init__(self, app: ASGIApp, rules: Rules, routes: Map, door: Door, telemetry: Telemetry) -> None:
        self._app = app
        self._routes = routes
        self._telemetry = telemetry
        self._rules = rules
        self._door = door
        self._room = Room(rules.bodies_memory)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no such routes, and nothing would ask who calls one
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = _few(scope)
        visit = _Visit(scope, send, _request_id(headers))
        await self._answer(scope, receive, headers, visit)
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
        meter = _Meter(receive, self._rules.body_limit, self._room)
        try:
            await self._app(scope, meter.receive, visit.send)
        except BodyTooLarge:
            meter.forget()
            await self._too_large(scope, receive, visit)
        except Busy as exc:
            meter.forget()
            if not meter.complete:
                await _drain(receive, self._rules.body_limit)
            await self._busy(exc, scope, receive, visit)
        except ClientDisconnect:
            return  # nobody is there to be answered
        except Exception as exc:
            if visit.status:  # the answer has begun: only closing the connection can tell now
                raise
            await answer(_failure(exc, visit), self._rules.retry_after)(scope, receive, visit.send)
        finally:
            meter.forget()

    async def _busy(self, exc: Busy, scope: Scope, receive: Receive, visit: "_Visit") -> None:
        closing = replace(problem_of(exc), headers={"Connection": "close"})
        await answer(closing, self._rules.retry_after)(scope, receive, visit.send)

    async def _too_large(self, scope: Scope, receive: Receive, visit: "_Visit") -> None:
        """Most clients read an answer only when they have sent everything: a body somewhat too large is let run out."""
        await _drain(receive, self._rules.body_limit)
        closing = replace(problem_of(BodyTooLarge(self._rules.body_limit)), headers={"Connection": "close"})
        await answer(closing, self._rules.retry_after)(scope, receive, visit.send)

    async def _refusal(self, scope: Scope, headers: dict[bytes, bytes], visit: "_Visit") -> Problem | None:
        if self._rules.hosts is not None and (detail := foreign_host(headers, self._rules.hosts)):
            return Problem(error_codes.FOREIGN_HOST, detail)
        if detail := foreign_origin(headers, self._rules.origins):
            return Problem(error_codes.FOREIGN_ORIGIN, detail)
        place = self._routes.find(scope["method"], scope["path"])
        visitor = await self._visitor(place, headers, visit)
        if isinstance(visitor, Problem):
            return visitor
        if isinstance(place, Nowhere):
            return _nowhere(place)
        scope["state"]["visitor"] = visitor.name
        return None

    async def _visitor(self, place: Found | Nowhere, headers: dict[bytes, bytes], visit: "_Visit") -> Visitor | Problem:
        """Who leads nowhere is asked for a token alone: what is not there is the same for all who have one."""
        if isinstance(place, Found) and place.access.open_to_all:
            visit.private = False
            return ANYBODY
        try:
            return await self._door.ask(place.demand if isinstance(place, Found) else None, headers)
        except Exception as exc:
            return _failure(exc, visit)


class _Visit:
    """One request: adds its id to the answer, remembers the status for the log."""

    def __init__(self, scope: Scope, send: Send, request_id: str) -> None:
        self._scope = scope
        self._send = send
        self._began = perf_counter()
        self.request_id = request_id
        self.status = 0
        self.private = True
        scope.setdefault("state", {})["request_id"] = request_id

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = [_NO_SNIFFING, (b"x-request-id", self.request_id.encode())]
            message["headers"] = [*message.get("headers", ()), *own, *(_PRIVATE if self.private else ())]
        await self._send(message)

    def tell(self, telemetry: Telemetry) -> None:
        method, seconds = self._scope["method"], perf_counter() - self._began
        telemetry.answered(method, _template(self._scope), self.status, seconds)
        level = logging.DEBUG if method in ("GET", "HEAD") and self.status < 500 else logging.INFO
        if log.isEnabledFor(level):
            told = {"request_id": self.request_id, "status": self.status, "milliseconds": round(seconds * 1000, 1)}
            log.log(level, "%s %s", method, self._scope["path"], extra=told)


class _Meter:
    """Counts a body while it comes in; one that announced no length is stopped as well. It keeps its room until the
    request has been answered, since whoever answers it holds it."""

    def __init__(self, receive: Receive, limit: int, room: Room) -> None:
        self._receive = receive
        self._limit = limit
        self._room = room
        self._held = 0
        self.complete = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            size = len(message.get("body", b""))
            if self._held + size > self._limit:
                raise BodyTooLarge(self._limit)
            self._room.take(size)
            self._held += size
            self.complete = not message.get("more_body", False)
        return message

    def forget(self) -> None:
        self._room.give(self._held)
        self._held = 0


def _nowhere(place: Nowhere) -> Problem:
    """In the words of the framework, which gets no such request."""
    if place.undeclared:
        return Problem(error_codes.CLOSED_ROUTE, "Nothing says who may call this, so nobody may.")
    if place.allowed:
        return Problem(error_codes.WRONG_METHOD, "Method Not Allowed", headers={"Allow": ", ".join(place.allowed)})
    return Problem(error_codes.UNKNOWN_PATH, "Not Found")


def _failure(exc: Exception, visit: _Visit) -> Problem:
    problem = problem_of(exc)
    told = {"request_id": visit.request_id}
    if problem.code is error_codes.INTERNAL_ERROR:
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
    """ASGI's header names are lower case; of a repeated one the last counts; a Host or Origin sent twice is none."""
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        headers[name] = b"" if name in headers and name in (b"host", b"origin") else value
    return headers


def _request_id(headers: dict[bytes, bytes]) -> str:
    given = headers.get(b"x-request-id", b"").decode("latin-1")
    return given if _REQUEST_ID.fullmatch(given) else f"{getrandbits(128):032x}"


def _announced(headers: dict[bytes, bytes]) -> int:
    length = headers.get(b"content-length", b"")
    return int(length) if length.isdigit() else 0
