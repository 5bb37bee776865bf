"""Bounds the memory that all request bodies take together: the received bytes, and what is made of them.

A body that does not fit is refused while it arrives (503 with Retry-After), because letting it wait would keep what
has already arrived in memory. Work on a body waits in the order of asking, so that small requests cannot overtake a
large one for ever.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


class Busy(Exception):
    """Other requests' bodies take all the memory that is allowed for them."""

    def __init__(self) -> None:
        super().__init__("The service is busy with other requests' bodies.")


@dataclass(slots=True)
class Room:
    """`total` bytes for the bodies that are being received or held."""

    total: int
    held: int = 0

    def take(self, size: int) -> None:
        if self.held + size > self.total:
            raise Busy
        self.held += size

    def give(self, size: int) -> None:
        self.held -= size


@dataclass(slots=True)
class Work:
    """`total` bytes for what is made of bodies; a request that needs more than that is worked on alone."""

    total: int
    wait_seconds: float
    taken: int = 0
    _waiting: deque[tuple[int, asyncio.Future[None]]] = field(default_factory=deque)

    @asynccontextmanager
    async def of(self, size: int) -> AsyncIterator[None]:
        size = min(size, self.total)
        await self._take(size)
        try:
            yield
        finally:
            self.taken -= size
            self._admit()

    async def _take(self, size: int) -> None:
        if not self._waiting and self.taken + size <= self.total:
            self.taken += size
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            async with asyncio.timeout(self.wait_seconds):
                await turn
        except BaseException as exc:
            self._leave(size, turn)
            if isinstance(exc, TimeoutError):
                raise Busy from None
            raise

    def _leave(self, size: int, turn: asyncio.Future[None]) -> None:
        if turn.done() and not turn.cancelled():
            self.taken -= size
        elif (size, turn) in self._waiting:
            self._waiting.remove((size, turn))
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self.taken + self._waiting[0][0] <= self.total:
            size, turn = self._waiting.popleft()
            if not turn.done():
                self.taken += size
                turn.set_result(None)
