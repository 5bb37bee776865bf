"""A dataset's rows as DSPy's examples, each of which knows the row that it was made from.

An example holds the mapped columns alone: optimizers print whole examples into prompts, and demos become state. The
row beside it survives every copy that DSPy makes of an example (`copy`, `without`, `with_inputs`, `deepcopy`), and no
pickle: a program that is kept loads where only dspy is installed.
"""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import dspy


@dataclass(frozen=True, slots=True)
class DatasetRow:
    number: int
    """From 0, in the dataset as it was submitted."""
    gold: Mapping[str, Any]
    """What the metric sees of its gold outputs, by field, with the cells as they were sent."""
    others: Mapping[str, Any]
    """The columns that are not mapped."""


class RowExample(dspy.Example):  # type: ignore[misc]  # dspy is untyped
    _row: DatasetRow | None = None

    def __init__(self, base: Any = None, **fields: Any) -> None:
        super().__init__(base, **fields)
        if isinstance(base, RowExample):
            self._row = base._row

    @classmethod
    def of(cls, fields: dict[str, Any], inputs: Iterable[str], row: DatasetRow) -> "RowExample":
        made = cls(fields)
        made._input_keys, made._row = set(inputs), row
        return made

    def __copy__(self) -> "RowExample":
        made = type(self).__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> "RowExample":
        made = type(self).__new__(type(self))
        memo[id(self)] = made
        made.__dict__.update({name: copy.deepcopy(value, memo) for name, value in self._own().items()})
        made._row = self._row
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return dspy.Example, (), self._own()

    def _own(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_row"}


def row_of(example: Any) -> DatasetRow | None:
    """None for an example that no row of the dataset became."""
    return example._row if isinstance(example, RowExample) else None


def row_number(example: Any) -> int | None:
    row = row_of(example)
    return None if row is None else row.number
