"""Reads the rows of a dataset from a CSV, JSON or JSON Lines file."""

import csv
import json
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from .errors import DspyServiceError

Row = dict[str, Any]
csv.field_size_limit(2**24)


class UnusableDataset(DspyServiceError):
    """The file is no dataset; the message names the line."""


def read_rows(file: str | Path, limit: int | None = None) -> list[Row]:
    """By the file's ending: .csv and .tsv with a header line, .json with a list of objects, else one object a line."""
    path = Path(file)
    read = {".csv": _csv, ".tsv": _tsv, ".json": _json}.get(path.suffix.lower(), _json_lines)
    try:
        rows = list(islice(read(path), limit))
    except (UnicodeDecodeError, csv.Error, json.JSONDecodeError) as exc:
        raise UnusableDataset(f"{path}: {exc}") from exc
    if not rows:
        raise UnusableDataset(f"{path} holds no rows.")
    return rows


def _csv(path: Path, delimiter: str = ",") -> Iterable[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter=delimiter)
        for row in reader:
            if None in row or None in row.values():
                raise UnusableDataset(f"{path}: line {reader.line_num} has another number of columns than the header.")
            yield dict(row)


def _tsv(path: Path) -> Iterable[Row]:
    return _csv(path, "\t")


def _json(path: Path) -> Iterable[Row]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, list):
        raise UnusableDataset(f"{path} must hold a list of objects.")
    for number, row in enumerate(content):
        yield _object(row, f"{path}: item {number}")


def _json_lines(path: Path) -> Iterable[Row]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _object(json.loads(line), f"{path}: line {number}")


def _object(row: Any, where: str) -> Row:
    if not isinstance(row, dict):
        raise UnusableDataset(f"{where} is no object.")
    return row
