"""How many rows each split gets, by the contract's rules: by shares, or by what the rows themselves say. The submit's
checks and the runner use the same ones."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dspy_service_core.records.run import SplitCounts

Name = Literal["train", "val", "test"]


@dataclass(frozen=True, slots=True)
class Fractions:
    train: float
    val: float
    test: float


DEFAULTS = Fractions(train=0.7, val=0.15, test=0.15)
"""The shares of a job that names none."""


ALL_TEST = Fractions(train=0.0, val=0.0, test=1.0)
"""Where nothing is optimized, there is nothing to train on."""


def counts(rows: int, fractions: Fractions) -> SplitCounts:
    """Training gets `int(n * train)` rows, validation the next `int(n * val)`, and the test all others."""
    train = int(rows * fractions.train)
    val = int(rows * fractions.val)
    return SplitCounts(train, val, rows - train - val)


SAID: Mapping[str, Name] = {"train": "train", "val": "val", "validation": "val", "dev": "val", "test": "test"}
"""What a row may say in the column that splits the rows."""
_CURE = "write train, val (or validation, dev) or test"
_SHOWN = 80


def said_by(row: Any, column: str) -> Name | None:
    """None where the row says nothing, or no such word."""
    cell = row.get(column) if isinstance(row, Mapping) else None
    return SAID.get(cell) if isinstance(cell, str) else None


def counts_by_column(rows: Iterable[Any], column: str) -> SplitCounts:
    found = Counter(said_by(row, column) for row in rows)
    return SplitCounts(found["train"], found["val"], found["test"])


def misplaced(rows: Iterable[Any], column: str) -> Iterator[tuple[int, str]]:
    """Rows that do not say where they belong: their number from 0, and what is wrong, to follow their name."""
    for number, row in enumerate(rows):
        if said_by(row, column) is None:
            yield number, _wrong(row, column)


def _wrong(row: Any, column: str) -> str:
    if not isinstance(row, Mapping) or column not in row:
        return f"lacks column '{column}', in which each row says where it belongs: {_CURE}"
    cell = row[column]
    written = repr(cell[: _SHOWN + 1] if isinstance(cell, str) else cell)
    shown = "nothing" if cell in (None, "") else written if len(written) <= _SHOWN else f"{written[:_SHOWN]}..."
    return f"says {shown} in column '{column}', by which the rows are split: {_CURE}"


def in_column(split: str, column: str, wanted: int = 1) -> str:
    """Advice where too few rows say that they belong there."""
    return f"let at least {wanted} row{'s' if wanted > 1 else ''} say {split} in column '{column}'"


_NEXT_TO_NOTHING = 1e-5
"""A smaller share is a rounding error of three shares that sum to 1, and more rows would not help."""


def fewest_rows(split: str, wanted: int, fractions: Fractions) -> int | None:
    """The smallest number of rows with which `split` gets `wanted` rows; None if its share is too small for that."""
    fraction: float = getattr(fractions, split)
    if fraction < _NEXT_TO_NOTHING:
        return None
    # Start slightly below and count up, because floats decide the rounding. The test split gets what the others leave,
    # so often more than its share.
    rows = wanted if split == "test" else max(wanted, int(wanted / fraction) - 2)
    while getattr(counts(rows, fractions), split) < wanted:
        rows += 1
    return rows
