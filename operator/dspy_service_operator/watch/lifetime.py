"""From kopf's startup to its cleanup: the span in which our own work runs beside it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

_FAREWELL_SECONDS = 8.0
"""After our work has ended; kopf itself waits 5 s for what it has left running."""


class Lifetime:
    """`working` is our work, in a task of its own. When it ends for whatever cause, kopf is asked to end by `stop`."""

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
        """Also sets the flag that kopf was given: a signal reaches kopf alone, which waits 5 s for who waits for it."""
        self._asked.set()
        self._stop.set()
        if self._task is not None:
            await asyncio.wait([self._task])
        self._patience.reschedule(asyncio.get_running_loop().time() + self._farewell_seconds)

    @asynccontextmanager
    async def patience(self) -> AsyncIterator[None]:
        """Around kopf, which waits for ever for its other watches where one has failed and they cannot end."""
        try:
            async with self._patience:
                yield
        except TimeoutError as exc:
            if not self._patience.expired():
                raise
            raise RuntimeError("kopf failed and does not end; its log says what failed") from exc

    def raise_failure(self) -> None:
        """Of our work, if it did not end as it was asked to."""
        if self._task is not None:
            self._task.result()

    async def _work(self) -> None:
        async with self._working():
            await self._asked.wait()
