"""Makes examples of a dataset's rows, with values of the types that the signature names.

An input that cannot be converted ends the job before money is spent. A gold value that cannot be converted stays as it
was sent, because the metric may know what to do with it.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dspy
from dspy.utils.constants import IS_TYPE_UNDEFINED

from dspy_service_core.resource.job import Columns
from dspy_service_runner.optimizer.failures import JobFailed
from dspy_service_runner.optimizer.values.cells import BadCell, CellReader
from dspy_service_runner.optimizer.values.rows import DatasetRow, RowExample

logger = logging.getLogger("dspy_service.dataset")

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class _Field:
    name: str
    column: str
    reader: CellReader
    empty_is_none: bool

    def read(self, row: Mapping[str, Any]) -> Any:
        return self.reader.read(row[self.column], empty_is_none=self.empty_is_none)

    def said(self, number: int, bad: BadCell) -> str:
        return (
            f"dataset[{number}], column '{self.column}': field '{self.name}{bad.place}' ({self.reader.type_name}): "
            f"{bad.reason}; the cell holds {bad.shown}"
        )


def typed_examples(rows: Rows, columns: Columns, signature: type[dspy.Signature]) -> list[RowExample]:
    _check_columns(rows, columns)
    inputs = [_field(signature.input_fields, *mapped, rows, output=False) for mapped in columns.inputs.items()]
    outputs = [_field(signature.output_fields, *mapped, rows, output=True) for mapped in columns.outputs.items()]
    unreadable: Counter[str] = Counter()
    examples = [_example(number, row, columns, inputs, outputs, unreadable) for number, row in enumerate(rows)]
    for name, count in unreadable.items():
        logger.warning("%d gold cells of field '%s' have another type than it: they stay as sent.", count, name)
    return examples


def text_or_none(signature: type[dspy.Signature]) -> frozenset[str]:
    fields = signature.output_fields.items()
    return frozenset(name for name, info in fields if CellReader(info.annotation, output=True).may_be_no_text)


def _field(fields: Mapping[str, Any], name: str, column: str, rows: Rows, *, output: bool) -> _Field:
    info = fields[name]
    typed = not (info.json_schema_extra or {}).get(IS_TYPE_UNDEFINED)
    reader = CellReader(info.annotation, output=output, typed=typed)
    # CSV has no null, so an empty text may stand for it. In a column that has nulls, empty text means empty text.
    empty_is_none = reader.may_be_no_text and all(row[column] is not None for row in rows)
    return _Field(name, column, reader, empty_is_none)


def _example(
    number: int,
    row: Mapping[str, Any],
    columns: Columns,
    inputs: Sequence[_Field],
    outputs: Sequence[_Field],
    unreadable: Counter[str],
) -> RowExample:
    values = {field.name: _input(number, row, field) for field in inputs}
    values |= {field.name: _gold(number, row, field, unreadable) for field in outputs}
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


def _gold(number: int, row: Mapping[str, Any], field: _Field, unreadable: Counter[str]) -> Any:
    try:
        return field.read(row)
    except BadCell as bad:
        if field.name not in unreadable:
            logger.warning("%s. This gold stays as sent.", field.said(number, bad))
        unreadable[field.name] += 1
        return row[field.column]


def _check_columns(rows: Rows, columns: Columns) -> None:
    mapped = {**columns.inputs, **columns.outputs}
    for number, row in enumerate(rows):
        for field, column in mapped.items():
            if column not in row:
                raise JobFailed("InvalidDataset", f"dataset[{number}] lacks the column '{column}' of field '{field}'.")
