"""How many rows each split gets: the contract's rule, for the submit's checks. The runner cuts by the same counts."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fractions:
    train: float
    val: float
    test: float


@dataclass(frozen=True, slots=True)
class Counts:
    train: int
    val: int
    test: int

    @property
    def total(self) -> int:
        return self.train + self.val + self.test


def counts(rows: int, fractions: Fractions) -> Counts:
    """Train takes `int(n * train)`, validation the next `int(n * val)`, test the rest."""
    train = int(rows * fractions.train)
    val = int(rows * fractions.val)
    return Counts(train, val, rows - train - val)


_NEXT_TO_NOTHING = 1e-5
"""Below it a share is a rounding error of the three that sum to 1, and no number of rows is the cure."""


def fewest_rows(split: str, wanted: int, fractions: Fractions) -> int | None:
    """The smallest dataset whose `split` has `wanted` rows; None where its share gives it none."""
    fraction: float = getattr(fractions, split)
    if fraction < _NEXT_TO_NOTHING:
        return None
    # Close below it; floats decide the rest. The test split gets the rests of the others, so often more than its share.
    rows = wanted if split == "test" else max(wanted, int(wanted / fraction) - 2)
    while getattr(counts(rows, fractions), split) < wanted:
        rows += 1
    return rows
