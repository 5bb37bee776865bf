"""The gate that model calls leave by: each waits there, in the order in which they came, until its model has a place
for it and the job has.

DSPy's optimizers take a number of threads when they begin and keep it, so they get as many as there may ever be, and
what is found to be good while they run is held here.
"""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from dspy_service_runner.optimizer.models.pace.places import Sent
from dspy_service_runner.optimizer.models.pace.rate_limit import RateLimit

LOOK = 0.25
"""Seconds between two checks for a stop while a call waits."""

Result = TypeVar("Result")


@dataclass(eq=False)
class _Waiter:
    limit: RateLimit
    wake: Callable[[], None]
    sent: Sent | None = None
    """None until it may go."""


class Gate:
    """`most` calls of all models together may be under way."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self.most, self._clock = most, clock
        self._lock = threading.Lock()
        self._out = 0
        self._waiters: list[_Waiter] = []

    def enter(self, limit: RateLimit, check: Callable[[], None]) -> Sent:
        """Waits, and returns when the call may go; `check` may raise and so end the waiting."""
        woken = threading.Event()
        waiter = _Waiter(limit, woken.set)
        try:
            self._arrive(waiter)
            while not woken.wait(self._pause(waiter)):
                check()
                self._look()
        except BaseException:
            self._turn_back(waiter)
            raise
        return _sent(waiter)

    async def enter_async(self, limit: RateLimit, check: Callable[[], None]) -> Sent:
        """Waits without a thread: those of the event loop's pool are needed by the calls that have the places."""
        loop, woken = asyncio.get_running_loop(), asyncio.Event()
        waiter = _Waiter(limit, lambda: _wake(loop, woken))
        try:
            self._arrive(waiter)
            while waiter.sent is None:
                check()
                self._look()
                await _at_most(woken.wait(), self._pause(waiter))
        except BaseException:
            self._turn_back(waiter)
            raise
        return _sent(waiter)

    def try_enter(self, limit: RateLimit) -> Sent | None:
        """None where the call would have to wait."""
        with self._lock:
            now = self._clock()
            return None if self._waiters or not self._has_room(limit, now) else self._send(limit, now)

    def leave(self, happened: Callable[[float], Result]) -> Result:
        """`happened` tells the call's limit how it ended, at the given time."""
        with self._lock:
            self._out -= 1
            result = happened(self._clock())
            self._admit()
            return result

    def _arrive(self, waiter: _Waiter) -> None:
        with self._lock:
            self._waiters.append(waiter)
            waiter.limit.waiting += 1
            self._admit()

    def _turn_back(self, waiter: _Waiter) -> None:
        with self._lock:
            if waiter.sent is not None:
                self._out -= 1
                waiter.limit.broke(self._clock(), waiter.sent)
            elif waiter in self._waiters:
                self._leave_queue(waiter)
            self._admit()

    def _look(self) -> None:
        """Time alone may have opened the gate."""
        with self._lock:
            self._admit()

    def _admit(self) -> None:
        now, full = self._clock(), set[int]()
        for waiter in tuple(self._waiters):
            if self._out >= self.most:
                return
            if id(waiter.limit) in full:
                continue
            if not self._has_room(waiter.limit, now):
                full.add(id(waiter.limit))
                continue
            self._leave_queue(waiter)
            waiter.sent = self._send(waiter.limit, now)
            waiter.wake()

    def _has_room(self, limit: RateLimit, now: float) -> bool:
        return self._out < self.most and limit.opens_in(now) == 0

    def _send(self, limit: RateLimit, now: float) -> Sent:
        self._out += 1
        return limit.sent(now)

    def _leave_queue(self, waiter: _Waiter) -> None:
        self._waiters.remove(waiter)
        waiter.limit.waiting -= 1

    def _pause(self, waiter: _Waiter) -> float:
        left = waiter.limit.opens_in(self._clock())
        return min(left, LOOK) if left else LOOK


def _sent(waiter: _Waiter) -> Sent:
    assert waiter.sent is not None
    return waiter.sent


def _wake(loop: asyncio.AbstractEventLoop, woken: asyncio.Event) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(woken.set)


async def _at_most(waiting: Awaitable[object], seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(waiting, seconds)
