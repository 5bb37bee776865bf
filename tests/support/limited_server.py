"""A real server with small limits on a free port, and a client that sends bytes as it likes.

async with limited(application, Limits(head_seconds=0.2)) as server:
    wire = await server.connect()
    answer = await wire.ask(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme
import uvicorn

from dspy_service_api.serve.limits import ConnectionLimits
from dspy_service_api.serve.server import LimitedServer
from waiting import until

Headers = list[tuple[bytes, bytes]]


@dataclass
class Application:
    """Reads a request's whole body, then answers `answer`; notes the headers that are there when it has."""

    answer: bytes = b"ok"
    reads: bool = True
    calls: int = 0
    headers: list[Headers] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.may_answer.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls += 1
        body, more = b"", self.reads
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message["body"], message["more_body"]
        await self.may_answer.wait()
        self.headers.append(list(scope["headers"]))
        self.bodies.append(body)
        length = str(len(self.answer)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": self.answer})


@dataclass
class Answer:
    status: int
    head: bytes
    body: bytes


class Wire:
    """One connection; `Answer.status` 0 where it ended without a word."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> bool:
        """Whether the other side still took it."""
        try:
            self.writer.write(data)
            await self.writer.drain()
        except ConnectionError:
            return False
        return not self.writer.is_closing()

    async def ask(self, data: bytes) -> Answer:
        await self.send(data)
        return await self.answer()

    async def answer(self) -> Answer:
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return Answer(0, b"", b"")
        lines = head.lower().split(b"\r\n")
        length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            return Answer(int(head[9:12]), head, await self.reader.readexactly(length))
        return Answer(int(head[9:12]), head, b"")

    async def ended(self) -> bool:
        """Waits until the other side has closed."""
        with suppress(ConnectionError):
            while await self.reader.read(65536):
                pass
        return True

    def close(self) -> None:
        self.writer.close()


@dataclass
class Limited:
    port: int
    server: LimitedServer
    trust: ssl.SSLContext | None
    wires: list[Wire] = field(default_factory=list)

    @property
    def connections(self) -> int:
        """That the server holds a seat for."""
        assert self.server.listener is not None
        return len(self.server.listener.crowd)

    async def connect(self, source: str = "127.0.0.1", *, plain: bool = False) -> Wire:
        trust = None if plain else self.trust
        name = {"ssl": trust, "server_hostname": "localhost"} if trust else {}
        wire = Wire(*await asyncio.open_connection("127.0.0.1", self.port, local_addr=(source, 0), **name))
        self.wires.append(wire)
        return wire


class _Told(LimitedServer):
    async def has_started(self) -> bool:
        return self.started and self.listener is not None


@asynccontextmanager
async def limited(application: Any, limits: ConnectionLimits, tls: Path | None = None) -> AsyncIterator[Limited]:
    """`tls`: a folder for a certificate."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    files, trust = _certificate(tls) if tls else ({}, None)
    config = uvicorn.Config(
        application, ws="none", log_config=None, lifespan="off", timeout_graceful_shutdown=1, **files
    )
    server = _Told(config, limits)
    serving = asyncio.create_task(server.serve([listener]))
    running = Limited(port, server, trust)
    try:
        await until(server.has_started)
        yield running
    finally:
        for wire in running.wires:
            wire.close()
        server.should_exit = True
        await serving


def _certificate(folder: Path) -> tuple[dict[str, Any], ssl.SSLContext]:
    authority = trustme.CA()
    made = authority.issue_cert("localhost")
    made.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    trust = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
    return {"ssl_certfile": str(folder / "server.pem")}, trust
