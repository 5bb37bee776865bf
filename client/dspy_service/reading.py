"""Answers (`answers.py`) from parsed JSON. Unknown fields are ignored: a newer service may say more."""

import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

from dspy_service import foreign
from dspy_service.errors import UnexpectedAnswer

T = TypeVar("T")
Reader = Callable[[Any], Any]
"""A value of one type from JSON; None for what is nothing of that type."""


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    read: Reader
    required: bool
    empty: Any


def read(kind: type[T], data: Any) -> T:
    """An answer of this kind from parsed JSON; without one of its required fields it is an `UnexpectedAnswer`.

    A field of another type than its own is taken for one that did not come: it has its default, or is empty.
    """
    if not isinstance(data, Mapping):
        raise UnexpectedAnswer(f"The service's answer is no {kind.__name__}.")
    if missing := [known.name for known in _fields(_hashable(kind)) if known.required and known.name not in data]:
        raise UnexpectedAnswer(f"The service's answer is no {kind.__name__}: it lacks {', '.join(missing)}.")
    return entry(kind, data)


def entry(kind: type[T], data: Any) -> T:
    """One of many, which must not suffer from it: empty where it lacks something."""
    given = data if isinstance(data, Mapping) else {}
    values: dict[str, Any] = {}
    for known in _fields(_hashable(kind)):
        value = known.read(given.get(known.name))
        if value is not None:
            values[known.name] = value
        elif known.required:
            values[known.name] = known.empty
    return kind(**values)


def _hashable(kind: Any) -> Any:
    """For type checkers, which do not take a type variable's type for one that can be cached by."""
    return kind


@cache
def _fields(kind: Any) -> tuple[_Field, ...]:
    hints = typing.get_type_hints(kind)
    return tuple(_Field(f.name, _reader(hints[f.name]), _required(f), _empty(hints[f.name])) for f in fields(kind))


def _required(declared: Any) -> bool:
    return declared.default is MISSING and declared.default_factory is MISSING


_READERS: Mapping[Any, Reader] = {
    str: foreign.text_of,
    float: foreign.number_of,
    int: foreign.count_of,
    bool: foreign.flag_of,
    datetime: foreign.moment_of,
    dict: foreign.object_of,
}
_EMPTY: Mapping[Any, Any] = {str: "", float: 0.0, int: 0, bool: False, datetime: foreign.NO_TIME}


def _reader(hint: Any) -> Reader:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        return _reader(arguments[0])
    if origin is tuple:
        return _entries(arguments[0]) if is_dataclass(arguments[0]) else _VALUES[arguments[0]]
    if is_dataclass(hint):
        return lambda data: entry(typing.cast(type[Any], hint), data) if isinstance(data, Mapping) else None
    if origin is dict and arguments[1] is str:
        return foreign.texts_of
    if origin is dict and is_dataclass(arguments[1]):
        return _entries_by_name(arguments[1])
    return _READERS.get(origin or hint, lambda data: data)


def _entries(kind: Any) -> Reader:
    return lambda data: tuple(entry(kind, item) for item in data) if isinstance(data, list) else ()


def _entries_by_name(kind: Any) -> Reader:
    return lambda data: {str(k): entry(kind, v) for k, v in data.items()} if isinstance(data, Mapping) else None


def _texts(data: Any) -> tuple[str, ...]:
    return tuple(item for item in data if isinstance(item, str)) if isinstance(data, list) else ()


def _numbers(data: Any) -> tuple[float, ...] | None:
    """All or none: the ends of an interval belong together."""
    found = [foreign.number_of(item) for item in data] if isinstance(data, list) else [None]
    return tuple(number for number in found if number is not None) if None not in found else None


def _counts(data: Any) -> tuple[int, ...]:
    found = [foreign.count_of(item) for item in data] if isinstance(data, list) else []
    return tuple(number for number in found if number is not None)


def _objects(data: Any) -> tuple[dict[str, Any], ...] | None:
    if not isinstance(data, list):
        return None
    return tuple(found for item in data if (found := foreign.object_of(item)) is not None)


def _any(data: Any) -> tuple[Any, ...]:
    return tuple(data) if isinstance(data, list) else ()


_VALUES: Mapping[Any, Reader] = {str: _texts, float: _numbers, int: _counts, dict[str, Any]: _objects, Any: _any}


def _empty(hint: Any) -> Any:
    return entry(typing.cast(type[Any], hint), {}) if is_dataclass(hint) else _EMPTY.get(hint)
