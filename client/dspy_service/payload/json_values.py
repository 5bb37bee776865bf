"""Values of a program as the JSON that the service reads back as the same: dates as ISO text, arrays as lists.

Nothing but the standard library is imported: what pandas, numpy, pydantic and DSPy bring is known by how it behaves.
What JSON cannot carry is an error that names its place, as the service itself would name it: `dataset[7].price`.
"""

import dataclasses
import datetime
import enum
import json
import math
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from decimal import Decimal
from os import PathLike, fspath
from typing import Any, NoReturn

from dspy_service.errors import UnusableValue

_DEEPEST = 64
"""Levels, as many as the service takes."""
_LARGEST = 2**63
_SHOWN = 60
_FINE = ("[ns]", "[ps]", "[fs]", "[as]")


def json_rows(rows: Any, name: str = "dataset") -> list[dict[str, Any]]:
    """A list of mappings, of dataclasses or of named tuples, or a data frame of pandas, polars or pyarrow."""
    return [_row(row, f"{name}[{number}]") for number, row in enumerate(_each_row(rows, name))]


def json_value(value: Any, place: str = "", depth: int = 0) -> Any:
    """Raises `UnusableValue` with `place`, which is longer by what the value is part of."""
    kind = type(value)
    if kind is str:
        return _text(value, place)
    if kind is bool or value is None:
        return value
    if kind is int:
        return _integer(value, place)
    if kind is float:
        return _number(value, place)
    if depth > _DEEPEST:
        raise UnusableValue(place, f"is nested deeper than {_DEEPEST} levels, or holds itself")
    if kind is dict:
        return _object(value, place, depth)
    if kind is list or kind is tuple:
        return _array(value, place, depth)
    if kind is set or kind is frozenset:  # in an order that is the same in every process
        return sorted(_array(value, place, depth), key=lambda item: json.dumps(item, sort_keys=True))
    return _converted(value, place, depth)


def _each_row(rows: Any, name: str) -> Iterable[Any]:
    if callable(getattr(rows, "to_pylist", None)):  # pyarrow
        return rows.to_pylist()  # type: ignore[no-any-return]
    if callable(getattr(rows, "to_dicts", None)):  # polars
        return rows.to_dicts()  # type: ignore[no-any-return]
    if callable(getattr(rows, "itertuples", None)):  # pandas, whose rows as a series each would have one type for all
        return _frame_rows(rows)
    if isinstance(rows, Mapping | str | bytes) or not isinstance(rows, Iterable):
        raise UnusableValue(name, f"should be a list of rows, and is {_shown(rows)}")
    return rows


def _frame_rows(frame: Any) -> Iterator[Mapping[Any, Any]]:
    columns = list(frame.columns)
    for cells in frame.itertuples(index=False, name=None):
        yield dict(zip(columns, cells, strict=True))


def _row(row: Any, place: str) -> dict[str, Any]:
    if not isinstance(row, Mapping) and callable(getattr(row, "keys", None)):  # a series, a database's row, an Example
        row = {key: row[key] for key in row.keys()}  # noqa: SIM118
    found = json_value(row, place)
    if not isinstance(found, dict):
        raise UnusableValue(place, f"should be a mapping from column to value, and is {_shown(row)}")
    return found


def _converted(value: Any, place: str, depth: int) -> Any:
    for is_one, convert in _CONVERSIONS:
        if is_one(value):
            return json_value(convert(value, place), place, depth + 1)
    raise UnusableValue(
        place, f"is {_shown(value)}, which has no form in JSON: make text, numbers, lists or dicts of it"
    )


def _text(value: str, place: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UnusableValue(place, "holds half a surrogate pair, which is no text: replace it") from None
    return value


def _integer(value: int, place: str) -> int:
    if not -_LARGEST <= value < _LARGEST:
        raise UnusableValue(place, "is an integer that does not fit into 64 bits: send it as text")
    return value


def _number(value: float, place: str) -> float:
    if not math.isfinite(value):
        _missing({math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN"), place)
    return value


def _object(value: Mapping[Any, Any], place: str, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, item in value.items():
        name = _text(key, place) if type(key) is str else _name(key, place, depth)
        if name in found:
            raise UnusableValue(place, f"has two keys that are {name!r} in JSON")
        found[name] = json_value(item, f"{place}.{name}" if place else name, depth + 1)
    return found


def _name(key: Any, place: str, depth: int) -> str:
    plain = json_value(key, place, depth + 1)
    if isinstance(plain, str):
        return plain
    if isinstance(plain, dict | list):
        raise UnusableValue(place, f"has a key that JSON cannot have: {_shown(key)}")
    return json.dumps(plain)


def _array(value: Iterable[Any], place: str, depth: int) -> list[Any]:
    return [json_value(item, f"{place}[{number}]", depth + 1) for number, item in enumerate(value)]


def _member(value: enum.Enum, _place: str) -> Any:
    """Its value, which DSPy reads back, or its name where JSON has no such value."""
    return value.value if isinstance(value.value, str | int | float) else value.name


def _moment(value: Any, _place: str) -> str:
    return str(value.isoformat())


def _duration(value: datetime.timedelta, _place: str) -> str:
    """As ISO 8601 has it, and pydantic."""
    seconds, microseconds = divmod(abs(value // datetime.timedelta(microseconds=1)), 10**6)
    return f"{'-' if value < datetime.timedelta() else ''}PT{seconds}.{microseconds:06}S"


def _decimal(value: Decimal, place: str) -> str:
    if not value.is_finite():
        _missing(value, place)
    return str(value)


def _bytes(value: bytes | bytearray | memoryview, place: str) -> str:
    try:
        return bytes(value).decode()
    except UnicodeDecodeError:
        raise UnusableValue(place, "holds bytes that are no UTF-8: send them as base64 text or a data URI") from None


def _of_numpy(value: Any, place: str) -> Any:
    """A scalar, an array or a series. Times finer than Python's own would come as the integers that they are inside."""
    if getattr(value.dtype, "kind", "") in ("M", "m"):
        if (value != value).any():
            _missing("NaT", place)
        if str(value.dtype).endswith(_FINE):
            value = value.astype(str(value.dtype)[:-4] + "[us]")
    return value.tolist()


def _missing(value: Any, place: str) -> NoReturn:
    raise UnusableValue(place, f"is {value}, which JSON does not have: write null (None)")


def _model(value: Any, place: str) -> dict[str, Any]:
    """DSPy's own types (an image, a history) write themselves for prompts; the service wants their fields."""
    if any(base.__module__.partition(".")[0] == "dspy" for base in type(value).__mro__):
        return {name: getattr(value, name) for name in type(value).model_fields}
    try:
        return dict(value.model_dump(by_alias=True))
    except Exception as error:
        raise UnusableValue(place, f"is {_shown(value)}, which cannot be written as JSON: {_line(error)}") from error


def _fields(value: Any, _place: str) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def _is(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kinds)


def _has(*names: str) -> Callable[[Any], bool]:
    return lambda value: not isinstance(value, type) and all(hasattr(value, name) for name in names)


_CONVERSIONS: tuple[tuple[Callable[[Any], bool], Callable[[Any, str], Any]], ...] = (
    (_is(enum.Enum), _member),
    (lambda value: type(value).__name__ in ("NAType", "NaTType"), _missing),
    (_is(datetime.date, datetime.time), _moment),
    (_is(datetime.timedelta), _duration),
    (_is(Decimal), _decimal),
    (_is(uuid.UUID), lambda value, _: str(value)),
    (_is(PathLike), lambda value, _: fspath(value)),
    (_has("dtype", "tolist"), _of_numpy),
    (_is(str), lambda value, _: str.__str__(value)),
    (_is(int), lambda value, _: int(value)),
    (_is(float), lambda value, _: float(value)),
    (_is(bytes, bytearray, memoryview), _bytes),
    (_has("model_dump", "__pydantic_validator__"), _model),
    (lambda value: dataclasses.is_dataclass(value) and not isinstance(value, type), _fields),
    (_has("_asdict"), lambda value, _: value._asdict()),
    (_has("toDict"), lambda value, _: value.toDict()),
    (lambda value: type(value).__module__.startswith("pydantic"), lambda value, _: str(value)),
    (_is(Mapping), lambda value, _: dict(value)),
    (_is(set, frozenset), lambda value, _: frozenset(value)),
    (_is(Collection), lambda value, _: list(value)),
    (_has("isoformat"), _moment),
)
"""What a value is, the more particular first, and what stands for it, which may have to be converted in its turn."""


def _shown(value: Any) -> str:
    return f"{type(value).__name__} {_line(repr(value))}"


def _line(text: object) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
