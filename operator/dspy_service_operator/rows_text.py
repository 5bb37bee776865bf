"""Rows written as text in a ConfigMap: JSON Lines, a JSON array or CSV, by the key's ending."""

import csv
import io
import json
from typing import Any

MOST_ROWS = 100_000


class RowsError(Exception):
    """The text is no dataset; the message names the line."""


def parse_rows(name: str, text: str) -> list[dict[str, Any]]:
    ending = name.rpartition(".")[2].lower()
    if ending == "csv":
        rows: list[Any] = list(csv.DictReader(io.StringIO(text), strict=True))
    elif ending == "json":
        rows = _array(name, text)
    else:
        rows = [_line(name, number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not rows:
        raise RowsError("Dataset must contain at least one row.")
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict) or None in row:
            raise RowsError(f"{name}: row {number} is no object with a value for each column.")
    return rows


def _array(name: str, text: str) -> list[Any]:
    try:
        rows = json.loads(text)
    except ValueError as exc:
        raise RowsError(f"{name}: {exc}") from None
    if not isinstance(rows, list):
        raise RowsError(f"{name}: a JSON array of objects is expected.")
    return rows


def _line(name: str, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as exc:
        raise RowsError(f"{name}, line {number}: {exc}") from None
