"""How many rows each split gets, by the contract's rule. The submit's checks and the runner use the same counts."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fractions:
    train: float
    val: float
    test: float


DEFAULTS = Fractions(train=0.7, val=0.15, test=0.15)
"""The shares of a job that names none."""


ALL_TEST = Fractions(train=0.0, val=0.0, test=1.0)
"""Where nothing is optimized, there is nothing to train on."""


@dataclass(frozen=True, slots=True)
class Counts:
    train: int
    val: int
    test: int

    @property
    def total(self) -> int:
        return self.train + self.val + self.test


def counts(rows: int, fractions: Fractions) -> Counts:
    """Training gets `int(n * train)` rows, validation the next `int(n * val)`, and the test all others."""
    train = int(rows * fractions.train)
    val = int(rows * fractions.val)
    return Counts(train, val, rows - train - val)


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
