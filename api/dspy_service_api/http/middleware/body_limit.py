"""Limits the size of each body and of all bodies together. It is the innermost middleware, so that the errors that it
raises while a body is read are answered here."""

import asyncio
from dataclasses import replace

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dspy_service_api.http.middleware.request_log import Visit
from dspy_service_api.http.problems import BodyTooLarge, Problem, answer, problem_of
from dspy_service_api.serve.memory import Busy, Room

_DRAIN_SECONDS = 10.0


class BodyLimit:
    def __init__(self, app: ASGIApp, limit: int, memory: int, retry_after: int) -> None:
        """`limit` bytes for one body, `memory` bytes for all that are held at a time."""
        self._app = app
        self._limit = limit
        self._room = Room(max(memory, limit))
        self._retry_after = retry_after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif _announced(scope) > self._limit:
            await self._too_large(scope, receive, send)
        else:
            await self._admit(scope, receive, send)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        meter = _Meter(receive, self._limit, self._room)
        try:
            await self._app(scope, meter.receive, send)
        except BodyTooLarge:
            meter.forget()
            await self._too_large(scope, receive, send)
        except Busy as exc:
            meter.forget()
            if not meter.complete:
                await _drain(receive, self._limit)
            await self._refuse(problem_of(exc), scope, receive, send)
        except ClientDisconnect:
            return  # nobody is there to be answered
        except Exception as exc:
            visit = Visit.of(scope)
            if visit.status:  # the answer has begun: only closing the connection can tell now
                raise
            await answer(visit.failure(exc), self._retry_after)(scope, receive, send)
        finally:
            meter.forget()

    async def _too_large(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reads the rest of a body that is not far too large, since most clients read an answer only after sending
        all."""
        await _drain(receive, self._limit)
        await self._refuse(problem_of(BodyTooLarge(self._limit)), scope, receive, send)

    async def _refuse(self, problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
        closing = replace(problem, headers={"Connection": "close"})
        await answer(closing, self._retry_after)(scope, receive, send)


class _Meter:
    """Counts a body while it arrives, so that one without a Content-Length is limited too. The bytes stay reserved
    until the request has been answered, since the body is in memory until then."""

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


def _announced(scope: Scope) -> int:
    length = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    return int(length) if length.isdigit() else 0
