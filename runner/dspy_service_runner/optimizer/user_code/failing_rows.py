"""On how many of a stage's rows a metric failed, and when that is more than one can go on with.

Optimizers take a metric's error for a score of 0 and go on, so that a broken metric would end as a fake success.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import dspy

from dspy_service_runner.optimizer.values.rows import row_number

NAMED = 20
"""So many rows a failure's message names."""


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
    rows: dict[Hashable, str] = field(default_factory=dict)
    """With what is said of each."""
    calls: int = 0
    failing_calls: int = 0
    in_a_row: int = 0

    def worked(self) -> None:
        self.calls += 1
        self.in_a_row = 0

    def failed(self, row: Hashable, said: str) -> None:
        self.calls += 1
        self.failing_calls += 1
        self.in_a_row += 1
        self.rows.setdefault(row, said)

    @property
    def too_many(self) -> bool:
        allowed = self.allowed
        if allowed.share >= 1:
            return False
        often = self.failing_calls > allowed.share * self.calls
        lately = self.in_a_row >= max(allowed.patience, allowed.rows)
        return len(self.rows) > allowed.failing_rows and (often or lately)

    def __str__(self) -> str:
        allowed = self.allowed
        return (
            f"It failed on {len(self.rows)} of {allowed.rows} rows, in {self.failing_calls} of {self.calls} calls; "
            f"max_failed_rows allows a share of {allowed.share}.\n{listed(list(self.rows.values()))}"
        )


def listed(told: list[str]) -> str:
    more = len(told) - NAMED
    return "\n".join([*told[:NAMED], f"and {more} more"] if more > 0 else told)


def row_key(row: Any) -> Hashable:
    """The same for all copies of a row of the dataset."""
    number = row_number(row)
    return id(row) if number is None else number


def row_name(row: Any) -> str:
    """As people find it in their dataset; a null of it is often the cause."""
    number = row_number(row)
    name = "a row that is not the dataset's" if number is None else f"dataset[{number}]"
    items = dspy.Example.items(row) if isinstance(row, dspy.Example) else ()
    nulls = ", ".join(repr(field) for field, value in items if value is None)
    return f"{name}, whose {nulls} is null" if nulls else name
