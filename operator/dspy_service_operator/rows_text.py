"""Rows written as text in a ConfigMap: JSON Lines, a JSON array or CSV, by the key's ending.

The reporter reads the same formats from files of any size in the pod; here the text is at most a ConfigMap's 1 MiB.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath
from typing import Any

from dspy_service_core import nesting

Row = dict[str, Any]


class RowsError(Exception):
    """The text is no dataset; the message names the row."""


def parse_rows(name: str, text: str) -> list[Row]:
    """`name` is the key, whose ending tells the format."""
    ending = PurePosixPath(name).suffix.lower()
    if ending not in _FORMATS:
        raise RowsError(f"The format of '{name}' is told by its ending: one of {', '.join(_FORMATS)}.")
    rows = list(_FORMATS[ending](text.removeprefix("\ufeff")))
    if not rows:
        raise RowsError("Dataset must contain at least one row.")
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise RowsError(f"Row {number} of the dataset is not an object.")
        if nesting.deeper_than(row, nesting.MAX_DEPTH):
            raise RowsError(f"Row {number} of the dataset is nested deeper than {nesting.MAX_DEPTH} levels.")
    return rows


def _array(text: str) -> Iterable[Any]:
    rows = _value(text, "The dataset")
    if not isinstance(rows, list):
        raise RowsError("The dataset is not a JSON array of rows.")
    return rows


def _lines(text: str) -> Iterable[Any]:
    for number, line in enumerate(filter(str.strip, text.split("\n")), 1):
        yield _value(line, f"Row {number} of the dataset")


def _value(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise RowsError(f"{what} is nested too deeply; a row has at most {nesting.MAX_DEPTH} levels.") from None
    except ValueError as exc:
        raise RowsError(f"{what} is not JSON: {exc}.") from None


def _csv(text: str) -> Iterable[Row]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        for number, row in enumerate(reader, 1):
            if None in row or None in row.values():
                raise RowsError(f"Row {number} of the dataset has not as many fields as the header.")
            yield row
    except csv.Error as exc:
        raise RowsError(f"Line {reader.line_num} of the dataset is not CSV: {exc}.") from None


_FORMATS: dict[str, Callable[[str], Iterable[Any]]] = {
    ".jsonl": _lines,
    ".ndjson": _lines,
    ".json": _array,
    ".csv": _csv,
}
