"""Reads a stream of server-sent events from an ASGI application, as slowly as a test likes.

async with opened(app, "/jobs/x/stream") as stream:
    event = await stream.next()
    stream.pause()        # from now on nothing is taken
    ...
Leaving the block hangs up.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class SentEvent:
    word: str
    at: str
    data: Any


@dataclass
class EventStream:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes = b""
    pings: int = 0
    _events: asyncio.Queue[SentEvent | None] = field(default_factory=asyncio.Queue)
    _reads: asyncio.Event = field(default_factory=asyncio.Event)
    _begun: asyncio.Event = field(default_factory=asyncio.Event)
    _gone: asyncio.Event = field(default_factory=asyncio.Event)
    _rest: bytes = b""

    async def next(self) -> SentEvent:
        event = await asyncio.wait_for(self._events.get(), 10)
        assert event is not None, "the stream has ended"
        return event

    async def until(self, word: str) -> list[SentEvent]:
        """All events up to the next one of this kind."""
        found = [await self.next()]
        while found[-1].word != word:
            found.append(await self.next())
        return found

    async def rest(self) -> list[SentEvent]:
        """All events up to the stream's end."""
        found = []
        while (event := await asyncio.wait_for(self._events.get(), 10)) is not None:
            found.append(event)
        return found

    def nothing_more(self) -> bool:
        return self._events.empty()

    def pause(self) -> None:
        self._reads.clear()

    def go_on(self) -> None:
        self._reads.set()

    async def _receive(self) -> dict[str, Any]:
        if not self._begun.is_set():
            self._begun.set()
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {k.decode(): v.decode() for k, v in message["headers"]}
            return
        await self._reads.wait()
        self.raw += message.get("body", b"")
        self._rest += message.get("body", b"")
        *blocks, self._rest = self._rest.split(b"\n\n")
        for block in blocks:
            self._read(block.decode())
        if not message.get("more_body"):
            self._events.put_nowait(None)

    def _read(self, block: str) -> None:
        fields = dict(line.partition(": ")[::2] for line in block.split("\n") if not line.startswith(":"))
        self.pings += block.startswith(":")
        if "event" in fields:
            self._events.put_nowait(SentEvent(fields["event"], fields.get("id", ""), json.loads(fields["data"])))


@asynccontextmanager
async def opened(app: Any, path: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[EventStream]:
    stream = EventStream()
    stream.go_on()
    path, _, query = path.partition("?")
    given = {"host": "localhost:8000", **(headers or {})}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(k.lower().encode(), v.encode()) for k, v in given.items()],
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 8000),
        "state": {},
    }
    running = asyncio.create_task(app(scope, stream._receive, stream._send))
    try:
        yield stream
    finally:
        stream._gone.set()
        stream.go_on()
        with suppress(asyncio.CancelledError):
            await asyncio.wait_for(running, 10)
