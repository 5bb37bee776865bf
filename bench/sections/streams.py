"""Open streams on one replica, 200 and 1,000 of them: what the API's process takes with them, and how soon all of them
are told.

They follow one job that waits and is paused and resumed: each of these is a change that every reader is told of.
"""

import asyncio
import json
import time
from statistics import median
from urllib.parse import urlsplit

import psutil

from measuring.figures import Figure
from measuring.follow import Client
from payloads import DATASET, payload
from whole_service import Service, model_server, service

PAGES, STREAMS = 200, 1000
CHANGES = 3
_ENVIRONMENT = {
    "DSPY_SERVICE_CONNECTIONS_PER_PEER": "0",
    "DSPY_SERVICE_CONNECTIONS": "1280",
    "DSPY_SERVICE_STREAMS": str(STREAMS),
}


def measure() -> list[Figure]:
    with model_server(DATASET) as model, service("--concurrency", "1", "--prewarmed", "0", env=_ENVIRONMENT) as running:
        client = Client(running.url)
        job_id = client.submit(json.dumps(json.loads(payload(30, model)) | {"run_options": {"priority": -1}}).encode())
        client.ask(f"/jobs/{job_id}/pause", b"")
        before = _resident_mb(running)
        few, many, after = asyncio.run(_follow(running, job_id, client))
    return [
        Figure(f"the API's process with {STREAMS} open streams", after, "MB", most=512),
        Figure("what one stream takes", (after - before) * 1000 / STREAMS, "KB", most=350),
        Figure(f"a change until all {PAGES} were told (median)", median(few), "ms", most=1500),
        Figure(f"a change until all {STREAMS} were told (median)", median(many), "ms", most=1500),
    ]


async def _follow(running: Service, job_id: str, client: Client) -> tuple[list[float], list[float], float]:
    """Delays in milliseconds with few and with many streams, and what the process takes with many."""
    told, readers = _Told(), []

    async def with_streams(count: int) -> list[float]:
        while len(readers) < count:
            readers.append(await told.reader(running, job_id, len(readers)))
        await told.by(count)
        return [await _change(client, job_id, told, count) for _ in range(CHANGES)]

    few, many = await with_streams(PAGES), await with_streams(STREAMS)
    resident = _resident_mb(running)
    for task, writer in readers:
        writer.close()
        task.cancel()
    return few, many, resident


async def _change(client: Client, job_id: str, told: "_Told", streams: int) -> float:
    """How long it takes until all are told that the job was resumed, in milliseconds; then it is paused again."""
    told.readers.clear()
    began = time.perf_counter()
    await asyncio.to_thread(client.ask, f"/jobs/{job_id}/resume", b"")
    await told.by(streams)
    delay = (time.perf_counter() - began) * 1000
    await asyncio.sleep(1)  # until the operator and the reporter have said what they have to say
    await asyncio.to_thread(client.ask, f"/jobs/{job_id}/pause", b"")
    await asyncio.sleep(1)
    return delay


class _Told:
    """Which readers have heard of a change."""

    def __init__(self) -> None:
        self.readers: set[int] = set()
        self._more = asyncio.Condition()

    async def reader(
        self, running: Service, job_id: str, number: int
    ) -> "tuple[asyncio.Task[None], asyncio.StreamWriter]":
        parts = urlsplit(running.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(f"GET /jobs/{job_id}/stream HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        return asyncio.create_task(self._read(reader, number)), writer

    async def _read(self, reader: asyncio.StreamReader, number: int) -> None:
        while line := await reader.readline():
            if line.startswith(b"event: status"):
                async with self._more:
                    self.readers.add(number)
                    self._more.notify_all()

    async def by(self, wanted: int) -> None:
        async with asyncio.timeout(120), self._more:
            await self._more.wait_for(lambda: len(self.readers) >= wanted)


def _resident_mb(running: Service) -> float:
    api = next(each for each in running.processes() if _is_api(each))
    return float(api.memory_info().rss) / 1e6


def _is_api(process: psutil.Process) -> bool:
    return any("dspy_service_api" in word for word in process.cmdline())
