"""Runs our own work beside kopf, from kopf's startup to its cleanup."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

_FAREWELL_SECONDS = 8.0
"""How long kopf may take after our work has ended; kopf itself waits 5 s for its remaining tasks."""


class Lifetime:
    """`working` is our work; it gets a task of its own. When that ends, for whatever reason, `stop` asks kopf to
    end."""

    def __init__(
        self,
        working: Callable[[], AbstractAsyncContextManager[None]],
        stop: asyncio.Event,
        farewell_seconds: float = _FAREWELL_SECONDS,
    ) -> None:
        self._working = working
        self._stop = stop
        self._farewell_seconds = farewell_seconds
        self._asked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._patience = asyncio.timeout(None)

    def begin(self) -> None:
        self._task = asyncio.create_task(self._work(), name="operator")
        self._task.add_done_callback(lambda _: self._stop.set())

    async def end(self) -> None:
        """Also sets kopf's stop flag: after a signal only kopf knows of the end, and would wait 5 s for the tasks that
        wait for this flag."""
        self._asked.set()
        self._stop.set()
        if self._task is not None:
            await asyncio.wait([self._task])
        self._patience.reschedule(asyncio.get_running_loop().time() + self._farewell_seconds)

    @asynccontextmanager
    async def patience(self) -> AsyncIterator[None]:
        """Bounds the end of kopf, which would wait for ever if one watch has failed and the others cannot end."""
        try:
            async with self._patience:
                yield
        except TimeoutError as exc:
            if not self._patience.expired():
                raise
            raise RuntimeError("kopf failed and does not end; its log says what failed") from exc

    def raise_failure(self) -> None:
        """Raises the error of our work, if it failed."""
        if self._task is not None:
            self._task.result()

    async def _work(self) -> None:
        async with self._working():
            await self._asked.wait()
