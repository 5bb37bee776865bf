"""The keys to reconcile: each is handled at most once at a time, again if an event came meanwhile, and later if it
failed.

It is client-go's work queue in asyncio. kopf's own workers would hold a task for each object and retry nothing; here
each object costs a key.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

K = TypeVar("K")

_FIRST_RETRY = 0.05
_LONGEST_RETRY = 60.0


class WorkQueue(Generic[K]):
    """`handle` returns in how many seconds the key is due again, or None."""

    def __init__(self, handle: Callable[[K], Awaitable[float | None]]) -> None:
        self._handle = handle
        self._ready: asyncio.Queue[K] = asyncio.Queue()
        self._waiting: set[K] = set()
        self._busy: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}

    def add(self, key: K) -> None:
        if key in self._waiting:
            return
        self._waiting.add(key)
        if key not in self._busy:
            self._ready.put_nowait(key)

    def add_after(self, key: K, seconds: float) -> None:
        """If this is called several times for a key, the earliest time counts."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None and timer.when() <= loop.time() + seconds:
            return
        self._cancel_timer(key)
        self._timers[key] = loop.call_later(seconds, self._due, key)

    @property
    def idle(self) -> bool:
        """Nothing to do now; timers may be set."""
        return not self._waiting and not self._busy

    async def run(self, workers: int) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(workers):
                group.create_task(self._work(), name=f"reconcile-{number}")

    async def _work(self) -> None:
        while True:
            key = await self._ready.get()
            await self._process(key)
            await asyncio.sleep(0)  # a long backlog must not starve the watches

    async def _process(self, key: K) -> None:
        self._waiting.discard(key)
        self._busy.add(key)
        self._cancel_timer(key)
        try:
            again = await self._handle(key)
            self._failures.pop(key, None)
        except Exception as exc:  # one job's error must not end the operator; the job is tried again
            again = self._backoff(key)
            log.warning("%s: %s: %s; again in %.2f s", key, type(exc).__name__, exc, again, exc_info=_unexpected(exc))
        finally:
            self._busy.discard(key)
        if key in self._waiting:
            self._ready.put_nowait(key)
        if again is not None:
            self.add_after(key, again)

    def _backoff(self, key: K) -> float:
        count = self._failures[key] = self._failures.get(key, 0) + 1
        return min(_FIRST_RETRY * 2.0 ** (count - 1), _LONGEST_RETRY) * random.uniform(0.5, 1.0)

    def _due(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _cancel_timer(self, key: K) -> None:
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()


def _unexpected(exc: Exception) -> bool:
    """Whether to log a traceback: refusals of the API server need none."""
    return not type(exc).__module__.startswith("dspy_service_core")
