"""Reads Parquet where `arro3-io` is installed: in the full runner, and not in the slim one or the operator.

arro3-io is a tenth of pyarrow, imports in 4 ms, and reads a group of rows at a time. Its reader panics at a broken
footer (0.9.1), which Python sees as an exception that is no `Exception`.
"""

import datetime
import io
import math
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

_MAGIC = b"PAR1"
_LEAST = 12
"""Bytes: the magic word twice, and the length of the footer."""
_LARGEST = 2**63
_PANIC = "PanicException"


class NotParquet(ValueError):
    """The file cannot be read as Parquet; the message says why."""


class NoReader(Exception):
    """This installation reads no Parquet."""


class NoJsonForm(ValueError):
    """A cell that JSON cannot hold; the message names row and column."""


def parquet_rows(source: Path | bytes) -> Iterator[dict[str, Any]]:
    """Cells as JSON: dates and times as ISO text, decimals as text, bytes as the UTF-8 that they are."""
    try:
        from arro3.io import read_parquet  # not at the top: only the full runner has it
    except ModuleNotFoundError:
        raise NoReader from None
    number = 0
    for batch in _read(read_parquet, source):
        names = batch.schema.names
        if len(set(names)) < len(names):
            raise NotParquet("two of its columns have the same name")
        columns = [batch.column(place).to_pylist() for place in range(batch.num_columns)]
        for cells in zip(*columns, strict=True):
            number += 1
            yield {name: _cell(cell, number, name) for name, cell in zip(names, cells, strict=True)}


def _read(read_parquet: Callable[[Any], Any], source: Path | bytes) -> Iterator[Any]:
    if not _looks_like_it(source):
        raise NotParquet("it does not begin and end as Parquet does")
    try:
        yield from read_parquet(io.BytesIO(source) if isinstance(source, bytes) else str(source))
    except GeneratorExit:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != _PANIC:
            raise
        raise NotParquet(" ".join(str(error).split())) from None


def _looks_like_it(source: Path | bytes) -> bool:
    if isinstance(source, bytes):
        return len(source) >= _LEAST and source.startswith(_MAGIC) and source.endswith(_MAGIC)
    if source.stat().st_size < _LEAST:
        return False
    with source.open("rb") as file:
        first = file.read(len(_MAGIC))
        file.seek(-len(_MAGIC), io.SEEK_END)
        return first == _MAGIC == file.read()


def _cell(value: Any, number: int, column: str) -> Any:
    try:
        return _json(value)
    except NoJsonForm as error:
        raise NoJsonForm(f"Row {number} of the dataset has in column '{column}' {error}.") from None


def _json(value: Any) -> Any:
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, list):  # of a map, pairs of key and value
        return [_json(list(item) if isinstance(item, tuple) else item) for item in value]
    if isinstance(value, Mapping):
        return {name: _json(item) for name, item in value.items()}
    return next((convert(value) for kind, convert in _FORMS.items() if isinstance(value, kind)), value)


def _integer(value: int) -> int:
    if not -_LARGEST <= value < _LARGEST:
        raise NoJsonForm("an integer that does not fit into 64 bits: write it as text")
    return value


def _number(value: float) -> float:
    if not math.isfinite(value):
        raise NoJsonForm(f"{value}, which JSON does not have: write null")
    return value


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise NoJsonForm("bytes that are no UTF-8: write them as base64 text") from None


def _duration(value: datetime.timedelta) -> str:
    """As ISO 8601 has it, and pydantic."""
    seconds, microseconds = divmod(abs(value // datetime.timedelta(microseconds=1)), 10**6)
    return f"{'-' if value < datetime.timedelta() else ''}PT{seconds}.{microseconds:06}S"


_FORMS: Mapping[type, Callable[[Any], Any]] = {
    int: _integer,
    float: _number,
    Decimal: str,
    bytes: _text,
    datetime.datetime: datetime.datetime.isoformat,
    datetime.date: datetime.date.isoformat,
    datetime.time: datetime.time.isoformat,
    datetime.timedelta: _duration,
}
"""By the types that arro3 makes, the more particular first."""
