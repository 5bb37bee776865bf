"""Threads for work whose parts need nothing of each other."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from typing import Protocol, TypeVar

Made = TypeVar("Made")


class Start(Protocol):
    def __call__(self, work: Callable[[], Made]) -> Future[Made]: ...


@contextmanager
def beside_each_other(threads: int) -> Iterator[Start]:
    """All that is started has the context of whoever starts it: dspy's settings, the stage that calls are counted for.
    A stop does not wait for the answers that are still to come."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="beside")

    def start(work: Callable[[], Made]) -> Future[Made]:
        return pool.submit(copy_context().run, work)

    try:
        yield start
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
