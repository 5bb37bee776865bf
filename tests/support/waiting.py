"""Waiting for a condition in tests: the only place that polls."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(condition: Callable[[], T], timeout: float = 30, interval: float = 0.02, what: str = "") -> T:
    """The condition's first true value; fails with `what` (or the condition's source) after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what or _source(condition)}")
        time.sleep(interval)
    return value


async def until(
    condition: Callable[[], Awaitable[T]], timeout: float = 30, interval: float = 0.02, what: str = ""
) -> T:
    """The same for coroutines."""
    deadline = time.monotonic() + timeout
    while not (value := await condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what or _source(condition)}")
        await asyncio.sleep(interval)
    return value


def _source(condition: Callable[..., object]) -> str:
    try:
        return inspect.getsource(condition).strip()
    except (OSError, TypeError):
        return repr(condition)
