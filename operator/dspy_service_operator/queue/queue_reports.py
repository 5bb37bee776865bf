"""Decides when waiting jobs' positions are written into their status: rarely, few at a time, and the next jobs first.

This is for people who use kubectl; the API computes the positions in its answers itself.
"""

from collections.abc import Callable

from dspy_service_operator.queue.queue import Key, Queue
from dspy_service_operator.settings import OperatorSettings

TICK_SECONDS = 2.0
FIRST_REPORT_SECONDS = 1.0
"""The position of a job that starts sooner than this is never written."""


class QueueReports:
    """`report(key, position)` asks for a pass that writes the position."""

    def __init__(self, queue: Queue, report: Callable[[Key, int], None], settings: OperatorSettings) -> None:
        self._queue = queue
        self._report = report
        self._settings = settings
        self._due: dict[Key, float] = {}
        self._written: dict[Key, int] = {}

    def tick(self, now: float) -> None:
        """`now` counts seconds."""
        left = int(self._settings.queue_reports_per_second * TICK_SECONDS)
        due: dict[Key, float] = {}
        written: dict[Key, int] = {}
        for position, key in enumerate(self._queue.in_order(), 1):
            due[key] = self._due.get(key, now + FIRST_REPORT_SECONDS)
            old = self._written.get(key)
            if left > 0 and old != position and due[key] <= now:
                left -= 1
                self._report(key, position)
                due[key], old = now + self._settings.queue_position_seconds, position
            if old is not None:
                written[key] = old
        self._due, self._written = due, written
