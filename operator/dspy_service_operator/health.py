"""`/healthz`: whether this process still does what it is there for. One that does not is to be started again.

A cluster that is out of reach is not mended by a restart, so patience is long; what a restart mends is a watch or a
loop that is stuck.
"""

import time
from collections.abc import Callable
from urllib.parse import urlsplit

from dspy_service_core.side_server import Page


class Health:
    """`check` says what is wrong, or nothing; the phase of the process that runs now sets it."""

    def __init__(self) -> None:
        self.check: Callable[[], str] = lambda: ""

    def page(self) -> Page:
        wrong = self.check()
        return Page(wrong.encode() or b"ok", 500 if wrong else 200)


def resync_check(last: Callable[[], float], every: float) -> Callable[[], str]:
    """`last` in monotonic seconds."""

    def check() -> str:
        age = time.monotonic() - last()
        return f"the last resync was {age:.0f} s ago" if age > 3 * every else ""

    return check


def address_of(url: str) -> tuple[str, int, str]:
    """(host, port, path) of http://0.0.0.0:8080/healthz."""
    parts = urlsplit(url)
    if not parts.hostname or not parts.port:
        raise ValueError(f"'{url}' is no address such as http://0.0.0.0:8080/healthz")
    return parts.hostname, parts.port, parts.path or "/"
