"""Writes down waiting jobs' places in the queue: seldom and few at a time, those that start next first.

The API computes the position that it answers; this is for people who look with kubectl.
"""

from collections.abc import Callable

from dspy_service_operator.queue.queue import Key, Queue
from dspy_service_operator.settings import OperatorSettings

TICK_SECONDS = 2.0
FIRST_REPORT_SECONDS = 1.0
"""A job that starts before this never has its place written down."""


class QueueReports:
    """`report(key, position)` asks for a pass that writes it."""

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
