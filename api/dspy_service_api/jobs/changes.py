"""Tells whoever listens that a job changed: the cache says it once, and every listener hears it at its own pace.

Each listener has a buffer of its own, of a bounded size. One that falls so far behind that its buffer is full loses
what is in it, and is told that it missed something: it then reads anew what it is about, which the cache always knows.
So a slow listener neither holds up the watch nor takes memory without end. One event loop, no locks.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from dspy_service_api.jobs.record import JobRecord

_BUFFER = 100
"""A job has a new version about every two seconds while it runs."""


@dataclass(frozen=True, slots=True)
class JobChange:
    """One job as it was known and as it is now: `before` is None for a new one, `after` for one that is gone."""

    before: JobRecord | None
    after: JobRecord | None

    @property
    def uid(self) -> str:
        job = self.after or self.before
        return job.uid if job else ""


@dataclass(frozen=True, slots=True)
class Missed:
    """Changes were lost: whatever the listener is about has to be read anew."""


class Listener:
    """An endless iterator over changes. Its `next` may be cancelled at any time, and loses nothing by it."""

    def __init__(self, wants: Callable[[JobChange], bool], buffer: int) -> None:
        self._wants = wants
        self._buffer = buffer
        self._changes: deque[JobChange] = deque()
        self._missed = False
        self._news = asyncio.Event()

    def tell(self, change: JobChange) -> None:
        if self._missed or not self._wants(change):  # who reads anew anyway needs nothing of what was before that
            return
        if len(self._changes) == self._buffer:
            self._changes.clear()
            self._missed = True
        else:
            self._changes.append(change)
        self._news.set()

    async def next(self) -> JobChange | Missed:
        await self._news.wait()
        told: JobChange | Missed = Missed() if self._missed else self._changes.popleft()
        self._missed = False
        if not self._changes:
            self._news.clear()
        return told

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> JobChange | Missed:
        return await self.next()


class Changes:
    """Who listens to which job. A change costs a look-up, and a step for each who listens to that job or to all."""

    def __init__(self) -> None:
        self._listeners: dict[str | None, set[Listener]] = {}

    @contextmanager
    def listen(
        self,
        uid: str | None = None,
        *,
        wants: Callable[[JobChange], bool] = lambda change: True,
        buffer: int = _BUFFER,
    ) -> Iterator[Listener]:
        """To the job with this uid, or to all; to those changes alone that it `wants`, which must not fail."""
        listener = Listener(wants, buffer)
        listeners = self._listeners.setdefault(uid, set())
        listeners.add(listener)
        try:
            yield listener
        finally:
            listeners.remove(listener)
            if not listeners:
                del self._listeners[uid]

    def tell(self, change: JobChange) -> None:
        for uid in (change.uid, None):
            for listener in self._listeners.get(uid, ()):
                listener.tell(change)
