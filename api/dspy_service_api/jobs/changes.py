"""Announces changes of jobs to any number of listeners: the cache tells each change once, listeners take it at their
own pace.

Each listener has a bounded buffer of its own. When that is full, its content is dropped and the listener is told that
it missed changes; it then reads the current state from the cache. So a slow listener neither holds up the watch nor
takes memory without limit. All of it runs on one event loop, without locks.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from dspy_service_api.jobs.record import JobRecord

_BUFFER = 100
"""While a job runs it has a new version about every two seconds, so this is some minutes of one job."""


@dataclass(frozen=True, slots=True)
class JobChange:
    """One job before and after a change: `before` is None for a new job, `after` for one that is gone."""

    before: JobRecord | None
    after: JobRecord | None

    @property
    def uid(self) -> str:
        job = self.after or self.before
        return job.uid if job else ""


@dataclass(frozen=True, slots=True)
class Missed:
    """The listener missed changes and has to read the current state anew."""


class Listener:
    """An endless iterator over changes. `next` may be cancelled at any time without losing a change."""

    def __init__(self, wants: Callable[[JobChange], bool], buffer: int) -> None:
        self._wants = wants
        self._buffer = buffer
        self._changes: deque[JobChange] = deque()
        self._missed = False
        self._news = asyncio.Event()

    def tell(self, change: JobChange) -> None:
        if self._missed or not self._wants(change):  # one that has to read anew needs no earlier change
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
    """The listeners by job. A change costs one look-up and one step for each listener of that job or of all jobs."""

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
        """Listens to the job with this uid, or to all jobs. Only changes that it `wants` are put into its buffer;
        `wants` must not raise."""
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
