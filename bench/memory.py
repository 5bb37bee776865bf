"""What the whole service takes while it waits."""

import time

from figures import Figure

from whole_service import service

SETTLE_SECONDS = 10


def measure() -> list[Figure]:
    with service() as idle:
        time.sleep(SETTLE_SECONDS)
        total = idle.resident_mib()
    return [Figure("`up` idle, all its processes", total, "MB", most=250)]
