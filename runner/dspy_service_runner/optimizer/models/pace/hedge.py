"""Asks once more where a call takes much longer than nearly all others like it, and takes the first answer.

Both are requests like any other: each has a place, and each is counted. The slower one is not broken off, because the
model's server goes on with it and bills it: it is awaited in its own thread, and counted when it ends. So while a job
hedges, every request is made in a thread beside the one that waits for it.
"""

import contextvars
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Hashable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from dspy_service_runner.optimizer.models.pace.durations import Durations

logger = logging.getLogger("dspy_service.models")

_LOOK = 0.05
"""Seconds between two looks for a place for a second request."""
_LOOK_AT_OTHERS = 0.25
"""Seconds between two looks at what others like it took, which ended meanwhile: the first calls of a kind often begin
together."""
_PATIENCE = 30.0
"""Seconds that requests which lost are awaited at the end of a run."""

Answer = TypeVar("Answer")
Request = Callable[[], Answer]


class Hedges:
    """`most` requests may be under way, as at the gate."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pool = ThreadPoolExecutor(most, thread_name_prefix="model-call")
        self._lock = threading.Lock()
        self._seen: dict[Hashable, Durations] = defaultdict(Durations)
        self._open: set[Future[Any]] = set()
        self.asked_again = 0

    def race(self, kind: Hashable, first: Request[Answer], second: Callable[[], Request[Answer] | None]) -> Answer:
        """Calls of one `kind` take about as long as each other. `second` gives a second request, or None as long as
        none may be made. Where both fail, the first one's error is raised."""
        one = self._start(kind, first)
        if not self._is_slow(kind, one):
            return one.result()
        while (again := second()) is None:
            if wait([one], _LOOK).done:
                return one.result()
        with self._lock:
            self.asked_again += 1
        return _first_answer(one, self._start(kind, again))

    def settle(self, seconds: float = _PATIENCE) -> None:
        """Awaits the requests that lost."""
        if self.asked_again:
            logger.info("%d calls took so long that they were made twice; both are counted", self.asked_again)
        with self._lock:
            still_open = tuple(self._open)
        wait(still_open, seconds)

    def _start(self, kind: Hashable, request: Request[Answer]) -> Future[Answer]:
        context = contextvars.copy_context()
        future = self._pool.submit(context.run, self._timed, kind, request)
        with self._lock:
            self._open.add(future)
        future.add_done_callback(self._ended)
        return future

    def _timed(self, kind: Hashable, request: Request[Answer]) -> Answer:
        began = self._clock()
        answer = request()
        with self._lock:
            self._seen[kind].note(self._clock() - began)
        return answer

    def _is_slow(self, kind: Hashable, one: Future[Any]) -> bool:
        """Waits until it has ended, or takes longer than others."""
        began, left = self._clock(), _LOOK_AT_OTHERS
        while left > 0:
            if wait([one], min(left, _LOOK_AT_OTHERS)).done:
                return False
            with self._lock:
                slow = self._seen[kind].slow()
            left = _LOOK_AT_OTHERS if slow is None else began + slow - self._clock()
        return True

    def _ended(self, future: Future[Any]) -> None:
        with self._lock:
            self._open.discard(future)


def _first_answer(one: Future[Answer], other: Future[Answer]) -> Answer:
    done = wait([one, other], return_when=FIRST_COMPLETED).done
    for future in (one, other):
        if future in done and future.exception() is None:
            return future.result()
    wait([one, other])
    return other.result() if one.exception() is not None and other.exception() is None else one.result()
