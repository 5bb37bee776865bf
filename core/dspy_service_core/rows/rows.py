"""Reads the rows of a dataset from users' files: JSON Lines, a JSON array, CSV, TSV or Parquet.

All parts of the service use this reader, so that the reporter can read in the pod whatever the operator has accepted.
Files are read row by row, because a dataset may be many times larger than the reporter's memory. The client imports
nothing of ours and has a reader of its own; the cases in tests/support/row_files.py hold both to the same results.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from dspy_service_core import nesting
from dspy_service_core.rows.json_file import JsonFile, NotJson, TooDeep, loads
from dspy_service_core.rows.parquet_file import NoJsonForm, NoReader, NotParquet, parquet_rows

Row = dict[str, Any]
Source = Path | bytes
"""A file, or content that is in memory already."""

MAX_CELL = 16 * 1024 * 1024
EMPTY_DATASET = "Dataset must contain at least one row."
_TOO_DEEP = f"nested deeper than {nesting.MAX_DEPTH} levels: write what lies deeper as text."


class UnusableRows(Exception):
    """The file holds no usable dataset; the message says where the problem is and what to do about it."""


def read_rows(name: str, source: Source) -> Iterator[Any]:
    """All rows, unchecked: see `checked`. The ending of `name` (a key, or the end of a URI) tells the format."""
    ending = PurePosixPath(name).suffix.lower()
    if ending not in _FORMATS:
        raise UnusableRows(f"The format of '{name}' is told by its ending: one of {', '.join(_FORMATS)}.")
    try:
        yield from _FORMATS[ending](source)
    except UnicodeDecodeError as error:
        message = f"The dataset '{name}' is not UTF-8: {error.reason} at byte {error.start}. Save it as UTF-8."
        raise UnusableRows(message) from None
    except NoReader:
        cure = "name the service's full runner as its image, or save the rows as .jsonl or .csv"
        raise UnusableRows(f"'{name}' is a Parquet file, which is not read here: {cure}.") from None
    except NotParquet as error:
        raise UnusableRows(f"The dataset '{name}' is not Parquet: {error}. Save it anew.") from None
    except NoJsonForm as error:
        raise UnusableRows(str(error)) from None


def json_rows(source: Source, member: str = "") -> Iterator[Any]:
    """The elements of a JSON array, or of an array that is a member of a JSON object."""
    try:
        yield from JsonFile(source).items(member)
    except TooDeep:
        raise UnusableRows(f"The dataset is {_TOO_DEEP}") from None
    except NotJson as error:
        message = f"The dataset is not a JSON array of rows: {error}."
        raise UnusableRows(f"{message} Write [{{...}}, {{...}}], or one object a line as .jsonl.") from None


def checked(rows: Iterable[Any]) -> Iterator[Row]:
    """The same rows, each checked to be an object; raises if one is not, or if there are none.

    The numbers of rows and columns are not limited, because files are for datasets that are too large for a request.
    """
    number = 0
    for number, row in enumerate(rows, 1):
        if problem := _problem(row):
            raise UnusableRows(f"Row {number} of the dataset {problem}")
        yield row
    if not number:
        raise UnusableRows(EMPTY_DATASET)


def _problem(row: Any) -> str:
    if not isinstance(row, dict):
        return "is not an object. Write each row as an object from column to value."
    if nesting.deeper_than(row, nesting.MAX_DEPTH):
        return f"is {_TOO_DEEP}"
    return ""


def _json_lines(source: Source) -> Iterator[Any]:
    number = 0
    with _opened(source) as file:
        for line in file:
            text = line.removeprefix(b"\xef\xbb\xbf").strip() if not number else line.strip()
            if not text:
                continue
            number += 1
            try:
                yield loads(text)
            except TooDeep:
                raise UnusableRows(f"Row {number} of the dataset is {_TOO_DEEP}") from None
            except NotJson as error:
                message = f"Row {number} of the dataset is not JSON: {error}. Write one JSON object on each line."
                raise UnusableRows(message) from None


def _csv(source: Source, delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(MAX_CELL)
    with io.TextIOWrapper(_opened(source), encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter=delimiter, strict=True)
        try:
            for number, row in enumerate(reader, 1):
                if None in row or None in row.values():
                    message = f"Row {number} of the dataset has not as many fields as the header"
                    raise UnusableRows(f"{message}: give it one for each column, empty where there is no value.")
                yield row
        except csv.Error as error:
            message = f"Line {reader.reader.line_num} of the dataset is not CSV: {error}."
            cure = "Quote what holds delimiters, quotes or line breaks, and double each quote in it."
            raise UnusableRows(f"{message} {cure}") from None


def _opened(source: Source) -> BinaryIO:
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")


_FORMATS: dict[str, Callable[[Source], Iterator[Any]]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": json_rows,
    ".csv": partial(_csv, delimiter=","),
    ".tsv": partial(_csv, delimiter="\t"),
    ".parquet": parquet_rows,
}
