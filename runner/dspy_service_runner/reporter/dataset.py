"""Rows as users keep them (JSON Lines, a JSON array, CSV) to the rows that the optimizer reads, each one checked.

Rows behind a URI or in a ConfigMap could not be checked at submit: here is the first place that sees them. What is
wrong with them is the user's to mend, so it is said with the row's number.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from dspy_service_runner.reporter.json_file import JsonFile, NotJson

Row = dict[str, Any]
MAX_CSV_FIELD = 16 * 1024 * 1024


class UsersFault(Exception):
    """The job cannot be run as it was asked for, and trying again will not help."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


class InvalidDataset(UsersFault):
    def __init__(self, message: str) -> None:
        super().__init__("InvalidDataset", message)


def read_rows(path: Path, name: str) -> Iterator[Any]:
    """The rows of a file whose `name` (a key, or a URI's path) tells its format by its ending."""
    ending = PurePosixPath(name).suffix.lower()
    if ending not in _FORMATS:
        raise InvalidDataset(f"The format of '{name}' is told by its ending: one of {', '.join(_FORMATS)}.")
    try:
        yield from _FORMATS[ending](path)
    except UnicodeDecodeError as error:
        raise InvalidDataset(f"The dataset '{name}' is not UTF-8: {error.reason} at byte {error.start}.") from None


def json_rows(path: Path, member: str = "") -> Iterator[Any]:
    """The rows of a JSON array, or of the array that is a member of the object in the file."""
    try:
        yield from JsonFile(path).items(member)
    except NotJson as error:
        raise InvalidDataset(f"The dataset is not a JSON array of rows: {error}.") from None


def check_rows(rows: Iterable[Any], columns: Mapping[str, Mapping[str, str]]) -> Iterator[Row]:
    """The rows, as long as each has every mapped column; there has to be one."""
    mapped = {column: f"columns.{side}.{name}" for side in columns for name, column in (columns[side] or {}).items()}
    number = 0
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise InvalidDataset(f"Row {number} of the dataset is not an object.")
        if missing := next((column for column in mapped if column not in row), None):
            raise InvalidDataset(
                f"Row {number} of the dataset has no column '{missing}', which {mapped[missing]} names."
            )
        yield row
    if not number:
        raise InvalidDataset("Dataset must contain at least one row.")


def write_rows(rows: Iterable[Row], path: Path) -> None:
    with path.open("wb") as file:
        for number, row in enumerate(rows, 1):
            try:
                file.write(orjson.dumps(row) + b"\n")
            except orjson.JSONEncodeError as error:
                raise InvalidDataset(f"Row {number} of the dataset cannot be written as JSON: {error}.") from None


def _json_lines(path: Path) -> Iterator[Any]:
    number = 0
    with path.open("rb") as file:
        for line in file:
            text = line.removeprefix(b"\xef\xbb\xbf").strip() if not number else line.strip()
            if not text:
                continue
            number += 1
            try:
                yield orjson.loads(text)
            except orjson.JSONDecodeError as error:
                raise InvalidDataset(f"Row {number} of the dataset is not JSON: {error}.") from None


def _csv(path: Path) -> Iterator[Row]:
    csv.field_size_limit(MAX_CSV_FIELD)
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            for number, row in enumerate(reader, 1):
                if None in row or None in row.values():
                    raise InvalidDataset(f"Row {number} of the dataset has not as many fields as the header.")
                yield row
        except csv.Error as error:
            raise InvalidDataset(f"Line {reader.line_num} of the dataset is not CSV: {error}.") from None


_FORMATS: dict[str, Callable[[Path], Iterator[Any]]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": json_rows,
    ".csv": _csv,
}
