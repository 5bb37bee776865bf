"""On how many of a stage's rows a metric failed, and when that is more than one can go on with.

Optimizers take a metric's error for a score of 0 and go on, so that a broken metric would end as a fake success.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from decimal import Decimal


@dataclass(frozen=True)
class Allowance:
    """How much may fail before a stage ends. `least`: so many rows may fail of however few."""

    rows: int
    share: Decimal
    patience: int
    """Failing calls in a row that nobody waits beyond."""
    least: int = 0

    @property
    def failing_rows(self) -> Decimal:
        return max(self.share * self.rows, Decimal(self.least if self.share else 0))


ANY_NUMBER = Allowance(0, Decimal(1), 0)


@dataclass
class FailingRows:
    """Of one stage. No single row decides, however often it is tried; nor does one candidate whose answers the metric
    cannot read, among others that it reads well: rows and calls must both fail too often, or all calls for long."""

    allowed: Allowance
    rows: set[Hashable] = field(default_factory=set)
    calls: int = 0
    failing_calls: int = 0
    in_a_row: int = 0

    def worked(self) -> None:
        self.calls += 1
        self.in_a_row = 0

    def failed(self, row: Hashable) -> None:
        self.calls += 1
        self.failing_calls += 1
        self.in_a_row += 1
        self.rows.add(row)

    @property
    def too_many(self) -> bool:
        allowed = self.allowed
        if allowed.share >= 1:
            return False
        often = self.failing_calls > allowed.share * self.calls
        lately = self.in_a_row >= max(allowed.patience, allowed.rows)
        return len(self.rows) > allowed.failing_rows and (often or lately)
