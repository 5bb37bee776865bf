"""Counts the rows of a stage on which a metric failed, and decides when they are too many to go on.

Optimizers take a metric's error for a score of 0 and go on, so a broken metric would look like a success.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import dspy

from dspy_service_runner.optimizer.values.rows import row_number

NAMED = 20
"""How many rows the message of a failure lists."""


@dataclass(frozen=True)
class Allowance:
    """How much may fail before a stage ends. `least` rows may fail however few there are, unless the share is 0."""

    rows: int
    share: Decimal
    patience: int
    """After this many failing calls in a row (or as many as there are rows, if more), the share of all failing calls no
    longer matters."""
    least: int = 0

    @property
    def failing_rows(self) -> Decimal:
        return max(self.share * self.rows, Decimal(self.least if self.share else 0))


ANY_NUMBER = Allowance(0, Decimal(1), 0)


@dataclass
class FailingRows:
    """The failing rows of one stage. They are too many if too many rows failed, and besides too many of all calls, or
    all calls for a long time. So neither one row that is tried often ends a stage, nor one candidate whose answers the
    metric cannot read while it reads those of others."""

    allowed: Allowance
    rows: dict[Hashable, str] = field(default_factory=dict)
    """What is said about the first error of each row, by the row's key."""
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
    """How people find the row in their dataset. Its null fields are named, because they are often the cause."""
    number = row_number(row)
    name = "a row that is not the dataset's" if number is None else f"dataset[{number}]"
    items = dspy.Example.items(row) if isinstance(row, dspy.Example) else ()
    nulls = ", ".join(repr(field) for field, value in items if value is None)
    return f"{name}, whose {nulls} is null" if nulls else name
