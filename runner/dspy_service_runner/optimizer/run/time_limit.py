"""Ends what runs in the main thread once its time is up: user code may wait, or loop, for ever."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from dspy_service_runner.optimizer.failures import Interrupt, JobFailed

_AGAIN_SECONDS = 1.0
"""Code that catches everything is interrupted again and again."""


@contextmanager
def at_most(seconds: float, failure: JobFailed) -> Iterator[None]:
    """Raises the failure inside the block; only in the main thread."""

    def expire(_signal: int, _frame: FrameType | None) -> None:
        raise Interrupt(failure)

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
