"""Makes examples of a dataset's rows, with values of the types that the signature or the program names.

An input that cannot be converted ends the job before money is spent. A gold value that cannot be converted stays as it
was sent, because the metric may know what to do with it. So does an output whose type nobody names.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dspy_service_core.resource.spec.dataset import Columns
from dspy_service_runner.optimizer.failures import JobFailed
from dspy_service_runner.optimizer.values.cells import BadCell, CellReader
from dspy_service_runner.optimizer.values.fields import Fields
from dspy_service_runner.optimizer.values.rows import DatasetRow, RowExample

logger = logging.getLogger("dspy_service.dataset")

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class _Field:
    name: str
    column: str
    reader: CellReader | None
    """None for a field whose type nobody names."""
    empty_is_none: bool
    noun: str
    """How messages call what a cell of it holds."""

    def read(self, row: Mapping[str, Any]) -> Any:
        cell = row[self.column]
        return cell if self.reader is None else self.reader.read(cell, empty_is_none=self.empty_is_none)

    def said(self, number: int, bad: BadCell) -> str:
        its_type = self.reader.type_name if self.reader else "any"
        return (
            f"dataset[{number}], column '{self.column}': field '{self.name}{bad.place}' ({its_type}): "
            f"{bad.reason}; the cell holds {bad.shown}"
        )


def typed_examples(rows: Rows, columns: Columns, fields: Fields) -> list[RowExample]:
    _check_columns(rows, columns)
    inputs = [_field(fields.inputs, *mapped, rows, output=False) for mapped in columns.inputs.items()]
    outputs = [_field(fields.outputs, *mapped, rows, output=True) for mapped in columns.outputs.items()]
    unreadable: Counter[tuple[str, str]] = Counter()
    examples = [_example(number, row, columns, inputs, outputs, fields, unreadable) for number, row in enumerate(rows)]
    for (noun, name), count in unreadable.items():
        logger.warning("%d %s cells of field '%s' have another type than it: they stay as sent.", count, noun, name)
    return examples


def text_or_none(outputs: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(name for name, its in outputs.items() if CellReader(its, output=True).may_be_no_text)


def _field(fields: Mapping[str, Any], name: str, column: str, rows: Rows, *, output: bool) -> _Field:
    reader = CellReader(fields[name], output=output) if name in fields else None
    # CSV has no null, so an empty text may stand for it. In a column that has nulls, empty text means empty text.
    empty_is_none = reader is not None and reader.may_be_no_text and all(row[column] is not None for row in rows)
    return _Field(name, column, reader, empty_is_none, "gold" if output else "input")


def _example(
    number: int,
    row: Mapping[str, Any],
    columns: Columns,
    inputs: Sequence[_Field],
    outputs: Sequence[_Field],
    fields: Fields,
    unreadable: Counter[tuple[str, str]],
) -> RowExample:
    lenient = {field.name for field in outputs} | fields.inferred
    values = {
        field.name: _if_readable(number, row, field, unreadable)
        if field.name in lenient
        else _input(number, row, field)
        for field in (*inputs, *outputs)
    }
    mapped = {*columns.inputs.values(), *columns.outputs.values()}
    sent = DatasetRow(
        number=number,
        gold={name: row[column] for name, column in columns.outputs.items()},
        others={column: cell for column, cell in row.items() if column not in mapped},
    )
    return RowExample.of(values, columns.inputs, sent)


def _input(number: int, row: Mapping[str, Any], field: _Field) -> Any:
    try:
        return field.read(row)
    except BadCell as bad:
        raise JobFailed("InvalidDataset", f"{field.said(number, bad)}.") from None


def _if_readable(number: int, row: Mapping[str, Any], field: _Field, unreadable: Counter[tuple[str, str]]) -> Any:
    try:
        return field.read(row)
    except BadCell as bad:
        if (field.noun, field.name) not in unreadable:
            logger.warning("%s. This %s stays as sent.", field.said(number, bad), field.noun)
        unreadable[field.noun, field.name] += 1
        return row[field.column]


def _check_columns(rows: Rows, columns: Columns) -> None:
    mapped = {**columns.inputs, **columns.outputs}
    for number, row in enumerate(rows):
        for field, column in mapped.items():
            if column not in row:
                raise JobFailed("InvalidDataset", f"dataset[{number}] lacks the column '{column}' of field '{field}'.")
