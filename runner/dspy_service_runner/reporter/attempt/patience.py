"""Repeats a step until it works, because a store or an API server may be away for minutes.

Before SIGTERM there is no limit: the operator decides when a job has waited long enough, and ends the pod. After
SIGTERM, all remaining steps together have one grace period.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from dspy_service_core.errors import StoreError
from dspy_service_runner.reporter.attempt.termination import Termination
from dspy_service_runner.reporter.attempt.timetable import Backoff
from dspy_service_runner.reporter.inputs.dataset_uri import SourceAway
from dspy_service_runner.reporter.status.own_resource import NotAllowed, Unreachable

logger = logging.getLogger("dspy_service.reporter")

PASSING = (StoreError, SourceAway, OSError, Unreachable, NotAllowed)
"""Failures of the infrastructure, which may pass. OSError: for example, the pod's volume is full."""
T = TypeVar("T")


class GaveUp(Exception):
    """The grace period is over, and not everything is in the store and the status."""


@dataclass(slots=True)
class Patience:
    termination: Termination
    grace_period: float
    clock: Callable[[], float] = time.monotonic
    _deadline: float | None = field(init=False, default=None)

    def repeat(self, step: Callable[[], T], tell: Callable[[Exception], None]) -> T:
        """Returns the step's value; calls `tell` with each failure."""
        backoff = Backoff()
        while True:
            try:
                return step()
            except PASSING as error:
                logger.warning("%s; trying again", error)
                tell(error)
            if self.exhausted():
                raise GaveUp
            self.termination.wait(backoff.failed(self.clock()))

    def exhausted(self) -> bool:
        if not self.termination.asked:
            return False
        if self._deadline is None:
            self._deadline = self.clock() + self.grace_period
        return self.clock() >= self._deadline
