"""Assembles the answers about finished jobs before anybody asks, so that the first read is as fast as the next.

Only where the store is a folder: of an object store each assembly is about ten paid requests. One job after the
other, the newest first; while requests are being answered it takes a tenth of the time at most.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from dspy_service_api.jobs import Jobs
from dspy_service_api.record import JobRecord
from dspy_service_core.errors import ServiceError

log = logging.getLogger(__name__)

_REST_WHILE_BUSY = 9.0


@dataclass(slots=True)
class Preparer:
    """`finished` is told of every finished job by the cache; the oldest news are dropped when there are too many."""

    jobs: Jobs
    most: int
    busy: Callable[[], bool]
    _names: deque[str] = field(init=False)
    _news: asyncio.Event = field(init=False, default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._names = deque(maxlen=self.most)

    def finished(self, record: JobRecord) -> None:
        self._names.append(record.name)
        self._news.set()

    async def run(self) -> None:
        while True:
            await self._news.wait()
            while self._names:
                began = time.thread_time()
                await self._prepare(self._names.pop())
                took = time.thread_time() - began
                await asyncio.sleep(took * _REST_WHILE_BUSY if self.busy() else 0)
            self._news.clear()

    async def _prepare(self, name: str) -> None:
        record = self.jobs.cache.get(name)
        try:
            if record:
                await self.jobs.prepare(record)
        except ServiceError:
            return  # whoever asks is told what is wrong with it
        except Exception:
            log.exception("the answers about job %s cannot be prepared", name)  # nor are they for whoever asks
