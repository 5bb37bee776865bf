import pytest
from hypothesis import given, strategies as st

from dspy_service_core.resource.splits import Counts, Fractions, counts, fewest_rows

DEFAULT = Fractions(0.7, 0.15, 0.15)


@pytest.mark.parametrize(
    ("rows", "fractions", "expected"),
    [
        (10, DEFAULT, Counts(7, 1, 2)),
        (3, DEFAULT, Counts(2, 0, 1)),
        (100, Fractions(0.29, 0.0, 0.71), Counts(28, 0, 72)),
        (10, Fractions(0.5, 0.5, 0.0), Counts(5, 5, 0)),
    ],
)
def test_counts(rows: int, fractions: Fractions, expected: Counts) -> None:
    assert counts(rows, fractions) == expected


@given(st.integers(1, 50), st.floats(0.001, 0.98), st.sampled_from(["train", "val", "test"]))
def test_fewest_rows_are_enough_and_one_less_is_not(wanted: int, train: float, split: str) -> None:
    val = (1 - train) / 2
    fractions = Fractions(train, val, 1 - train - val)

    rows = fewest_rows(split, wanted, fractions)

    assert rows is not None
    assert getattr(counts(rows, fractions), split) >= wanted
    assert getattr(counts(rows - 1, fractions), split) < wanted


def test_no_share_no_rows() -> None:
    assert fewest_rows("test", 1, Fractions(0.8, 0.2, 0.0)) is None
