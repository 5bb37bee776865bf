"""A dataset's rows as DSPy's examples, each of which knows the row that it was made from.

An example holds only the mapped columns, because optimizers print whole examples into prompts, and demos become a part
of the state. The row is kept beside them in every copy that DSPy makes of an example (`copy`, `without`,
`with_inputs`, `deepcopy`), but not in a pickle, so that a stored program loads where only dspy is installed.
"""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import dspy


@dataclass(frozen=True, slots=True)
class DatasetRow:
    number: int
    """The row's place in the dataset as it was submitted, from 0."""
    gold: Mapping[str, Any]
    """The cells of the gold outputs as they were sent, by field."""
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
    """None for an example that was not made from a row of the dataset."""
    return example._row if isinstance(example, RowExample) else None


def row_number(example: Any) -> int | None:
    row = row_of(example)
    return None if row is None else row.number
