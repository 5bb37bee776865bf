from typing import Any

import pytest
from hypothesis import given, strategies as st

from dspy_service_core.resource.splits import (
    Fractions,
    SplitCounts,
    counts,
    counts_by_column,
    fewest_rows,
    in_column,
    misplaced,
    said_by,
)

DEFAULT = Fractions(0.7, 0.15, 0.15)


@pytest.mark.parametrize(
    ("rows", "fractions", "expected"),
    [
        (10, DEFAULT, SplitCounts(7, 1, 2)),
        (3, DEFAULT, SplitCounts(2, 0, 1)),
        (100, Fractions(0.29, 0.0, 0.71), SplitCounts(28, 0, 72)),
        (10, Fractions(0.5, 0.5, 0.0), SplitCounts(5, 5, 0)),
    ],
)
def test_counts(rows: int, fractions: Fractions, expected: SplitCounts) -> None:
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


@pytest.mark.parametrize(
    ("cell", "split"),
    [
        ("train", "train"),
        ("val", "val"),
        ("validation", "val"),
        ("dev", "val"),
        ("test", "test"),
        *((other, None) for other in ("Train", " test", "eval", "", None, 1, True, ["train"], {"train": 1})),
    ],
)
def test_what_a_row_may_say(cell: Any, split: str | None) -> None:
    assert said_by({"part": cell}, "part") == split


@pytest.mark.parametrize("row", [{}, {"Part": "train"}, 3, None, ["part"]])
def test_a_row_that_says_nothing(row: Any) -> None:
    assert said_by(row, "part") is None


CURE = "write train, val (or validation, dev) or test"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"x": 1}, f"lacks column 'part', in which each row says where it belongs: {CURE}"),
        (3, f"lacks column 'part', in which each row says where it belongs: {CURE}"),
        ({"part": ""}, f"says nothing in column 'part', by which the rows are split: {CURE}"),
        ({"part": None}, f"says nothing in column 'part', by which the rows are split: {CURE}"),
        ({"part": "Test"}, f"says 'Test' in column 'part', by which the rows are split: {CURE}"),
        ({"part": 1}, f"says 1 in column 'part', by which the rows are split: {CURE}"),
        ({"part": "x" * 999}, f"says '{'x' * 79}... in column 'part', by which the rows are split: {CURE}"),
    ],
)
def test_rows_that_are_in_no_split_are_named(row: Any, problem: str) -> None:
    rows = [{"part": "train"}, row, {"part": "dev"}, row]
    assert list(misplaced(rows, "part")) == [(1, problem), (3, problem)]


def test_counts_of_what_rows_say() -> None:
    words = ["test", "train", "dev", "val", "validation", "train", "nonsense"]
    assert counts_by_column([{"part": word} for word in words], "part") == SplitCounts(2, 3, 1)


def test_advice() -> None:
    assert in_column("test", "part") == "let at least 1 row say test in column 'part'"
    assert in_column("train", "part", 32) == "let at least 32 rows say train in column 'part'"
