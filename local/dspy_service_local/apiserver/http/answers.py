"""Answers as ASGI sends them: whole ones, and streams that end when the client goes away."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import orjson

from dspy_service_core.kube import errors
from dspy_service_local.apiserver.http.requests import Receive, Send

JSON = b"application/json"
TEXT = b"text/plain"


@dataclass(slots=True)
class Answer:
    status: int
    body: bytes
    content_type: bytes = JSON
    warnings: Sequence[str] = ()

    async def send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status, "headers": self._headers()})
        await send({"type": "http.response.body", "body": self.body})

    def _headers(self) -> list[tuple[bytes, bytes]]:
        headers = [(b"content-type", self.content_type), (b"content-length", str(len(self.body)).encode())]
        for warning in self.warnings:
            escaped = warning.replace("\\", "\\\\").replace('"', '\\"')
            headers.append((b"warning", f'299 - "{escaped}"'.encode("latin-1", "replace")))
        return headers


def answered(value: Any, status: int = 200) -> Answer:
    return Answer(status, orjson.dumps(value))


def refused(exc: errors.KubeError) -> Answer:
    status = dict(exc.status) or {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": exc.message}
    code = int(status.setdefault("code", exc.code))
    return Answer(code, orjson.dumps(status))


@dataclass(slots=True)
class StreamedAnswer:
    """`pieces` is closed when the client disconnects."""

    pieces: AsyncGenerator[bytes, None]
    content_type: bytes = JSON

    async def send(self, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", self.content_type)]}
        await send(start)
        sending = asyncio.ensure_future(self._pump(send))
        leaving = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            if not sending.done():
                sending.cancel()
        await asyncio.gather(sending, leaving, return_exceptions=True)

    async def _pump(self, send: Send) -> None:
        async with aclosing(self.pieces) as pieces:
            async for piece in pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
