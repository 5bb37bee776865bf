"""A thousand open streams on one replica: what the API's process takes with them, and how soon all of them are told.

They follow one job that waits and is paused and resumed: each of these is a change that every reader is told of.
"""

import asyncio
import json
import time
from urllib.parse import urlsplit

import psutil
from figures import Figure
from follow import Client

from payloads import DATASET, payload
from whole_service import Service, model_server, service

STREAMS = 1000
CHANGES = 6
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
        delays, after = asyncio.run(_follow(running, job_id, client))
    return [
        Figure(f"the API's process with {STREAMS} open streams", after, "MB", most=512),
        Figure("what one stream takes", (after - before) * 1000 / STREAMS, "KB", most=350),
        Figure(f"a change until all {STREAMS} were told (median)", sorted(delays)[len(delays) // 2], "ms", most=1500),
    ]


async def _follow(running: Service, job_id: str, client: Client) -> tuple[list[float], float]:
    parts = urlsplit(running.url)
    told = _Told()
    readers = []
    for _ in range(STREAMS):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(f"GET /jobs/{job_id}/stream HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        readers.append((asyncio.create_task(told.read(reader)), writer))
    await told.by(STREAMS)
    delays = []
    for turn in range(CHANGES):
        verb = "resume" if turn % 2 else "pause"
        told.count = 0
        began = time.perf_counter()
        await asyncio.to_thread(client.ask, f"/jobs/{job_id}/{verb}", b"")
        if verb == "resume":
            await told.by(STREAMS)
            delays.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(1)  # until the operator and the reporter have said what they have to say
    resident = _resident_mb(running)
    for task, writer in readers:
        writer.close()
        task.cancel()
    return delays, resident


class _Told:
    """Counts the summaries that arrived, of all readers together."""

    def __init__(self) -> None:
        self.count = 0
        self._more = asyncio.Condition()

    async def read(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            if line.startswith(b"event: status"):
                async with self._more:
                    self.count += 1
                    self._more.notify_all()

    async def by(self, wanted: int) -> None:
        async with asyncio.timeout(120), self._more:
            await self._more.wait_for(lambda: self.count >= wanted)


def _resident_mb(running: Service) -> float:
    api = next(each for each in running.processes() if _is_api(each))
    return float(api.memory_info().rss) / 1e6


def _is_api(process: psutil.Process) -> bool:
    return any("dspy_service_api" in word for word in process.cmdline())
