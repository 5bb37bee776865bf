"""The rows of a request from train, validation and test sets: of `dspy.Example`s, dicts or data frames.

Sets that are given keep their rows, by a column that says where each belongs. What is not given is taken from the
training set, by the shares that the service would take, evenly over its length, so that a set sorted by something is
no worse off. A training set alone is left to the service to split.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dspy_service.errors import UnusableObject
from dspy_service.payload.json_values import json_rows

Row = dict[str, Any]
SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}
"""The service's own: docs/api.md."""
COLUMN = "split"


@dataclass(frozen=True)
class Dataset:
    rows: list[Row]
    inputs: tuple[str, ...] = ()
    """The columns that `with_inputs` named, where examples did."""
    split_column: str = ""

    @property
    def columns(self) -> set[str]:
        return {column for row in self.rows for column in row if column != self.split_column}


def read_sets(trainset: Any, valset: Any = None, testset: Any = None) -> Dataset:
    given = {
        name: _listed(rows)
        for name, rows in (("train", trainset), ("val", valset), ("test", testset))
        if rows is not None
    }
    if "train" not in given:
        raise UnusableObject("trainset", "is lacking: optimizers learn from its rows")
    read = {name: json_rows(rows, f"{name}set") for name, rows in given.items()}
    inputs = _inputs(row for rows in given.values() if isinstance(rows, list) for row in rows)
    if list(read) == ["train"]:
        return Dataset(read["train"], inputs)
    column = _free_column(row for rows in read.values() for row in rows)
    parts = _with_all_parts(read)
    return Dataset([{**row, column: name} for name, rows in parts.items() for row in rows], inputs, column)


def _listed(rows: Any) -> Any:
    """What can be gone through once only (a generator) is kept, because it is gone through twice."""
    is_frame = any(callable(getattr(rows, name, None)) for name in ("to_pylist", "to_dicts", "itertuples"))
    return rows if is_frame or isinstance(rows, str | bytes) or not isinstance(rows, Iterable) else list(rows)


def _inputs(rows: Iterable[Any]) -> tuple[str, ...]:
    named = {tuple(sorted(keys)) for row in rows if (keys := getattr(row, "_input_keys", None))}
    if len(named) > 1:
        first, second, *_ = sorted(named)
        raise UnusableObject("trainset", f"has examples with the inputs {list(first)} and others with {list(second)}")
    return next(iter(named), ())


def _free_column(rows: Iterable[Row]) -> str:
    taken = {column for row in rows for column in row}
    column = COLUMN
    while column in taken:
        column = f"_{column}"
    return column


def _with_all_parts(read: dict[str, list[Row]]) -> dict[str, list[Row]]:
    train = read["train"]
    parts = dict(read)
    for lacking in ("val", "test"):
        if lacking not in read:
            wanted = max(1, int(len(train) * SHARES[lacking] / (SHARES["train"] + SHARES[lacking])))
            taken = {round((n + 0.5) * len(train) / wanted) - 1 for n in range(wanted)}
            parts[lacking] = [row for n, row in enumerate(train) if n in taken]
            train = [row for n, row in enumerate(train) if n not in taken]
    return {"train": train, "val": parts["val"], "test": parts["test"]}
