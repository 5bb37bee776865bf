"""Closed-loop HTTP load on loopback: a fixed number of keep-alive connections, each sends when it was answered.

On bare asyncio streams, because a full client costs more processor time a request than the service it measures, and
both share two cores.
"""

import asyncio
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from measuring.figures import share


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes


@dataclass(frozen=True)
class Load:
    """`per_second` counts good answers; latencies are in milliseconds."""

    per_second: float
    median_ms: float
    p99_ms: float
    answers: int
    failures: int
    first_failure: str


Request = tuple[str, str, bytes]
"""Method, path, body."""


def run(
    url: str, requests: Iterable[Request], *, clients: int = 8, on_answer: Callable[[Answer], None] | None = None
) -> Load:
    """Sends every request once, over `clients` connections, as fast as the answers come."""
    return asyncio.run(_run(url, iter(requests), clients, on_answer))


async def _run(url: str, requests: Iterable[Request], clients: int, on_answer: Callable[[Answer], None] | None) -> Load:
    latencies: list[float] = []
    failures: list[Answer] = []
    source = iter(requests)

    async def client() -> None:
        connection = await Connection.open(url)
        for request in source:
            start = time.perf_counter()
            answer = await connection.send(*request)
            if answer.status >= 300:
                failures.append(answer)
                continue
            latencies.append(time.perf_counter() - start)
            if on_answer is not None:
                on_answer(answer)
        connection.close()

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    elapsed = time.perf_counter() - began
    measured = latencies or [0.0]
    return Load(
        per_second=len(latencies) / elapsed,
        median_ms=statistics.median(measured) * 1000,
        p99_ms=share(measured, 0.99) * 1000,
        answers=len(latencies),
        failures=len(failures),
        first_failure=f"{failures[0].status} {failures[0].body[:200]!r}" if failures else "",
    )


class Connection:
    """One keep-alive HTTP/1.1 connection; answers with Content-Length alone, which is what the service sends."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> None:
        self._reader, self._writer, self._host = reader, writer, host

    @classmethod
    async def open(cls, url: str) -> "Connection":
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 20)
        return cls(reader, writer, parts.netloc)

    async def send(self, method: str, path: str, body: bytes = b"") -> Answer:
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
        self._writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        raw = await self._reader.readuntil(b"\r\n\r\n")
        lines = raw.lower().split(b"\r\n")
        length = next((int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")), 0)
        return Answer(int(lines[0].split()[1]), await self._reader.readexactly(length))

    def close(self) -> None:
        self._writer.close()
