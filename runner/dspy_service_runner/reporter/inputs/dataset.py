"""Checks the rows of a dataset and writes them to the file that the optimizer reads. Each row must have every column
that the job maps.

Rows behind a URI or in a ConfigMap could not be checked when the job was submitted, so this is the first place that
sees them. Users have to correct them, so the message names the row's number.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from dspy_service_core.rows.rows import Row, UnusableRows, checked


class UsersFault(Exception):
    """The job cannot run as it was submitted, and trying again will not help."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


class InvalidDataset(UsersFault):
    def __init__(self, message: str) -> None:
        super().__init__("InvalidDataset", message)


def check_rows(rows: Iterable[Any], columns: Mapping[str, Any]) -> Iterator[Row]:
    """Yields the rows; raises `InvalidDataset` at the first that is unusable or lacks a mapped column."""
    sides = ("inputs", "outputs")
    mapped = {column: f"columns.{side}.{name}" for side in sides for name, column in (columns.get(side) or {}).items()}
    try:
        for number, row in enumerate(checked(rows), 1):
            if missing := next((column for column in mapped if column not in row), None):
                raise InvalidDataset(
                    f"Row {number} of the dataset has no column '{missing}', which {mapped[missing]} names."
                )
            yield row
    except UnusableRows as error:
        raise InvalidDataset(str(error)) from None


def write_rows(rows: Iterable[Row], path: Path) -> None:
    with path.open("wb") as file:
        for number, row in enumerate(rows, 1):
            try:
                file.write(orjson.dumps(row) + b"\n")
            except orjson.JSONEncodeError as error:
                raise InvalidDataset(f"Row {number} of the dataset cannot be written as JSON: {error}.") from None
