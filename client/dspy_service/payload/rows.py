"""Reads the rows of a dataset from a CSV, TSV, JSON, JSON Lines or Parquet file.

The service's own parts read the same files alike (tests/support/row_files.py holds both to that); this is written for
machines that have nothing of the service but its client.
"""

import csv
import json
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from dspy_service.errors import DspyServiceError, UnusableValue
from dspy_service.payload.json_values import json_value

Row = dict[str, Any]
csv.field_size_limit(2**24)


class UnusableDataset(DspyServiceError):
    """The file is no dataset; the message names the line."""


def read_rows(file: str | Path, limit: int | None = None) -> list[Row]:
    """By the file's ending: .csv and .tsv with a header line, .json with a list of objects, .parquet where
    `dspy-service[parquet]` is installed, else one object a line."""
    path = Path(file)
    ending = path.suffix.lower()
    read = {".csv": _csv, ".tsv": _tsv, ".json": _json, ".parquet": _parquet}.get(ending, _json_lines)
    try:
        rows = list(islice(read(path), limit))
    except (UnicodeDecodeError, csv.Error) as exc:
        raise UnusableDataset(f"{path}: {exc}") from exc
    if not rows:
        raise UnusableDataset(f"{path} holds no rows.")
    return rows


def _csv(path: Path, delimiter: str = ",") -> Iterable[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter=delimiter, strict=True)
        for row in reader:
            if None in row or None in row.values():
                raise UnusableDataset(f"{path}: line {reader.line_num} has another number of columns than the header.")
            yield dict(row)


def _tsv(path: Path) -> Iterable[Row]:
    return _csv(path, "\t")


def _json(path: Path) -> Iterable[Row]:
    content = _parsed(path.read_text(encoding="utf-8-sig"), str(path))
    if not isinstance(content, list):
        raise UnusableDataset(f"{path} must hold a list of objects.")
    for number, row in enumerate(content):
        yield _row(row, f"{path}: item {number}")


def _json_lines(path: Path) -> Iterable[Row]:
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                where = f"{path}: line {number}"
                yield _row(_parsed(line, where), where)


def _parquet(path: Path) -> Iterable[Row]:
    """Its reader panics at a broken footer, which Python sees as an exception that is no `Exception`."""
    try:
        from arro3.io import read_parquet
    except ModuleNotFoundError:
        cure = "install dspy-service[parquet], or save its rows as .jsonl or .csv"
        raise UnusableDataset(f"{path} is a Parquet file, which is not read here: {cure}.") from None
    try:
        batches = [(batch.schema.names, _columns(batch)) for batch in read_parquet(str(path))]
    except BaseException as exc:
        if not isinstance(exc, Exception) and type(exc).__name__ != "PanicException":
            raise
        raise UnusableDataset(f"{path}: {' '.join(str(exc).split())}") from None
    rows = (dict(zip(names, cells, strict=True)) for names, columns in batches for cells in zip(*columns, strict=True))
    for number, row in enumerate(rows):
        try:
            yield json_value(row)
        except UnusableValue as exc:
            raise UnusableDataset(f"{path}: row {number}: {exc}") from None


def _columns(batch: Any) -> list[list[Any]]:
    return [batch.column(place).to_pylist() for place in range(batch.num_columns)]


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise UnusableDataset(f"{where}: a value is nested too deeply") from None
    except json.JSONDecodeError as exc:
        raise UnusableDataset(f"{where}: {exc}") from None


def _row(row: Any, where: str) -> Row:
    if not isinstance(row, dict):
        raise UnusableDataset(f"{where} is no object.")
    try:
        json_value(row)
    except UnusableValue as exc:  # NaN and Infinity, which Python's own reader takes
        raise UnusableDataset(f"{where}: {exc}") from None
    return row
