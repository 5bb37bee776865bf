"""What the whole service takes while it waits, and how long it takes to end."""

import time

from measuring.figures import Figure
from whole_service import service

SETTLE_SECONDS = 10
"""Until nothing is imported, listed or warmed any more."""


def measure() -> list[Figure]:
    with service() as idle:
        time.sleep(SETTLE_SECONDS)
        total = idle.resident_mib()
        asked = time.monotonic()
    return [
        Figure("`up` idle, all its processes", total, "MB", most=250),
        Figure("SIGTERM to the end of all of them", time.monotonic() - asked, "s", most=10),
    ]
