from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import dspy
import pytest

from dspy_service import UnusableObject, UnusableValue
from dspy_service.payload.datasets import read_sets


@dataclass
class Line:
    q: str
    a: int


class Pandas:
    """As a pandas frame behaves."""

    columns = ("q", "a")

    def __init__(self, *rows: tuple[str, int]) -> None:
        self.rows = rows

    def itertuples(self, index: bool, name: None) -> Any:
        return iter(self.rows)

    def __iter__(self) -> Any:
        return iter(self.columns)


class Polars:
    def to_dicts(self) -> list[dict[str, Any]]:
        return [{"q": "x", "a": 1}]


FORMS: dict[str, Any] = {
    "dicts": [{"q": "x", "a": 1}],
    "examples": [dspy.Example(q="x", a=1)],
    "examples with inputs": [dspy.Example(q="x", a=1).with_inputs("q")],
    "dataclasses": [Line("x", 1)],
    "pandas": Pandas(("x", 1)),
    "polars": Polars(),
    "a generator": ({"q": "x", "a": n} for n in (1,)),
    "a tuple": ({"q": "x", "a": 1},),
}


@pytest.mark.parametrize("form", FORMS)
def test_rows_in_many_forms(form: str) -> None:
    given = FORMS[form]
    found = read_sets(given)
    assert found.rows == [{"q": "x", "a": 1}]
    assert found.split_column == ""
    assert found.inputs == (("q",) if "with inputs" in form else ())


def rows(name: str, count: int) -> list[dict[str, Any]]:
    return [{"q": f"{name}{n}"} for n in range(count)]


@pytest.mark.parametrize(
    ("sets", "counts"),
    [
        ((20, 5, 4), {"train": 20, "val": 5, "test": 4}),
        ((20, None, 4), {"train": 17, "val": 3, "test": 4}),
        ((20, 5, None), {"train": 17, "val": 5, "test": 3}),
        ((2, 1, None), {"train": 1, "val": 1, "test": 1}),
    ],
)
def test_sets_keep_their_rows(sets: tuple[int | None, ...], counts: dict[str, int]) -> None:
    given = [None if n is None else rows(name, n) for name, n in zip("abc", sets, strict=True)]
    found = read_sets(*given)
    assert {name: sum(row["split"] == name for row in found.rows) for name in counts} == counts
    assert sorted(row["q"] for row in found.rows) == sorted(row["q"] for part in given if part for row in part)
    kept = {row["q"][0] for row in found.rows if row["split"] == "test"}
    assert kept == ({"c"} if sets[2] else {"a"})


def test_a_column_of_that_name_is_left_alone() -> None:
    found = read_sets([{"split": "x"}] * 3, [{"split": "y"}], [{"split": "z"}])
    assert found.split_column == "_split"
    assert [(row["split"], row["_split"]) for row in found.rows][-2:] == [("y", "val"), ("z", "test")]
    assert found.columns == {"split"}


def test_what_is_taken_is_spread_over_a_sorted_set() -> None:
    found = read_sets([{"n": n} for n in range(100)], testset=[{"n": -1}])
    taken = [row["n"] for row in found.rows if row["split"] == "val"]
    assert len(taken) == len(set(taken)) == 17
    assert max(b - a for a, b in pairwise(taken)) <= 7
    assert (taken[0] < 7, taken[-1] > 92) == (True, True)


def test_examples_that_differ_in_their_inputs_are_told() -> None:
    mixed = [dspy.Example(q="x", a=1).with_inputs("q"), dspy.Example(q="x", a=1).with_inputs("a")]
    with pytest.raises(UnusableObject, match=r"inputs \['a'\] and others with \['q'\]"):
        read_sets(mixed)


def test_a_place_in_a_set_is_named() -> None:
    with pytest.raises(UnusableValue, match=r"^valset\[1\]\.q"):
        read_sets([{"q": 1}], [{"q": 1}, {"q": float("nan")}])


def test_a_training_set_is_needed() -> None:
    with pytest.raises(UnusableObject, match=r"^trainset is lacking"):
        read_sets(None, [{"q": 1}])
