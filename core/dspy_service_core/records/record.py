"""Reads and writes records by their declaration: frozen dataclasses whose annotations give the type of each field, and
whose metadata (`says`) describe it.

Reading never fails: a field with a wrong value gets its default, and if it has none, there is no record (None). Where
pydantic is loaded, it uses the same classes unchanged, and strictly; the resource's schema is made that way.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields, is_dataclass
from functools import cache, partial
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    TypeVar,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
)

from dspy_service_core.records import values

JsonObject = dict[str, Any]
_set = object.__setattr__
"""Sets a field of a frozen record, whose own `__setattr__` refuses."""
Decimals = Callable[[float | None], Any]
"""Writes a decimal: as a number in files, as a string in the resource."""
R = TypeVar("R")
K = TypeVar("K", bound="Record")

DECIMAL_PATTERN = r"^-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?$"
DECIMAL_LENGTH = 32
_MAX_TEXT = 1024


def camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


class Record:
    """Base class of the records; in JSON their fields are in camelCase.

    Its methods serve all records. `dataclass` would generate and compile them for each class, which takes a millisecond
    a class and a tenth of the reporter's start.
    """

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    __pydantic_config__: ClassVar[JsonObject] = {
        "alias_generator": camel_case,
        "populate_by_name": True,
        "extra": "ignore",
    }

    def __init__(self, *positional: Any, **named: Any) -> None:
        kind = type(self)
        declared = _fields(kind)
        if positional:
            named |= zip((each.name for each in declared if not each.named), positional, strict=False)
        for name, _, _, default, factory, _, _ in declared:
            value = named.pop(name, default)
            if value is MISSING:
                value = _made(kind, name, factory)
            _set(self, name, value)
        if named or len(positional) > len(declared):
            raise TypeError(f"{kind.__name__} has no field {', '.join(named) or positional[-1]}")

    def __setattr__(self, name: str, value: Any) -> None:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, field.name) == getattr(other, field.name) for field in _fields(type(self)))

    __hash__ = None  # type: ignore[assignment]  # some hold lists and dicts, so none has one

    def __repr__(self) -> str:
        told = ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in _fields(type(self)))
        return f"{type(self).__name__}({told})"


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(kind: type[K]) -> type[K]:
    """Makes a frozen dataclass with slots; its methods come from `Record`."""
    return dataclass(init=False, repr=False, eq=False, slots=True)(kind)


def says(description: str, **schema: Any) -> Mapping[str, Any]:
    """A field's metadata: its description, and further arguments of pydantic's `Field` for the schema."""
    return {"description": description, **schema}


def _same(value: Any) -> Any:
    return value


class Reading(NamedTuple):
    """What reading depends on: the time, and the functions that clean texts and free JSON before anything else."""

    now: str = ""
    text: Callable[[str], str] = _same
    json: Callable[[Any], Any] = _same


PLAIN = Reading()
"""For records that have been cleaned already."""


class Kind(NamedTuple):
    """How a field is read and written; part of its annotation if the type alone does not say it."""

    read: Callable[[Any, Reading], Any]
    """Returns None for a value of a wrong type."""
    write: Callable[[Any, Decimals], Any] | None = None
    """None if the value is JSON already."""


class _DecimalKind(Kind):
    """A number in Python and a string in the resource, as the Kubernetes API conventions ask of decimals."""

    __slots__ = ()

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> JsonObject:
        text = {"type": "str", "pattern": DECIMAL_PATTERN, "max_length": DECIMAL_LENGTH}
        written = {"type": "function-plain", "function": values.decimal_of, "when_used": "always"}
        number = {"type": "no-info", "function": float}
        return {"type": "function-after", "function": number, "schema": text, "serialization": written}


def text(limit: int, shown: Callable[[str], str] = _same) -> Kind:
    """A text of at most `limit` bytes. It is cleaned before it is cut, so that the cut leaves no half of a secret."""

    def read(value: Any, reading: Reading) -> str | None:
        if not isinstance(value, str):
            return None
        found = shown(values.cut(reading.text(value), limit))
        return found if shown is _same else values.cut(found, limit)

    return Kind(read)


def _optional_time(value: Any, reading: Reading) -> str | None:
    return (values.timestamp_of(value, reading.now) or None) if value else None


Decimal = Annotated[
    float, _DecimalKind(lambda value, _: values.number_of(value), lambda value, decimals: decimals(value))
]
Time = Annotated[str, Kind(lambda value, reading: values.timestamp_of(value, reading.now))]
"""A value that is no time becomes the time of reading."""
OptionalTime = Annotated[str | None, Kind(_optional_time)]
Name = Annotated[str, text(_MAX_TEXT)]


def read(kind: type[R], value: Any, reading: Reading = PLAIN) -> R | None:
    """The record that the JSON holds; None if it holds none."""
    if not isinstance(value, dict):
        return None
    found = object.__new__(kind)
    for name, wire, _, default, factory, take, _ in _fields(kind):
        given = take(value.get(wire), reading)
        if given is None:
            given = default if factory is None else factory()
            if given is MISSING:
                return None
        _set(found, name, given)
    return found


def document(record: Any) -> JsonObject:
    """As JSON for files and for the store, where decimals are numbers."""
    return _written(record, _same)


def resource(record: Any) -> JsonObject:
    """As JSON for the resource, where decimals are strings, and null means unknown."""
    return _written(record, values.decimal_of)


def narrow(record: Any, kind: type[R], **other: Any) -> R:
    """A `kind` made of the record's fields of the same names; `other` gives further or different values."""
    names = (field.name for field in _fields(kind) if field.name not in other)
    return kind(**{name: getattr(record, name) for name in names}, **other)


class _Field(NamedTuple):
    name: str
    wire: str
    named: bool
    """Keyword-only."""
    default: Any
    """`MISSING` if there is no default, or if a factory makes it."""
    factory: Callable[[], Any] | None
    read: Callable[[Any, Reading], Any]
    write: Callable[[Any, Decimals], Any] | None


def _declared(kind: Any) -> tuple[_Field, ...]:
    return tuple(
        _Field(
            each.name,
            each.metadata.get("alias") or camel_case(each.name),
            each.kw_only is True,
            each.default,
            None if each.default_factory is MISSING else each.default_factory,
            *_kind_of(each.type),
        )
        for each in fields(kind)
    )


def _made(kind: type, name: str, factory: Callable[[], Any] | None) -> Any:
    if factory is None:
        raise TypeError(f"{kind.__name__} needs {name}")
    return factory()


_fields: Callable[[Any], tuple[_Field, ...]] = cache(_declared)


def _written(record: Any, decimals: Decimals) -> JsonObject:
    return {
        wire: getattr(record, name) if write is None else write(getattr(record, name), decimals)
        for name, wire, _, _, _, _, write in _fields(type(record))
    }


def _kind_of(annotation: Any) -> Kind:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        own = [mark for mark in annotation.__metadata__ if isinstance(mark, Kind)]
        return own[0] if own else _kind_of(annotation.__origin__)
    if origin in (Union, UnionType):
        return _kind_of(next(option for option in arguments if option is not NoneType))
    if origin is Literal:
        return Kind(lambda value, _: value if isinstance(value, str) and value in arguments else None)
    if origin is list:
        return _list_of(_kind_of(arguments[0]))
    if isinstance(annotation, type) and is_dataclass(annotation):
        return Kind(partial(read, annotation), _write_record)
    return _BY_TYPE[origin or annotation]


def _write_record(record: Any, decimals: Decimals) -> JsonObject | None:
    return None if record is None else _written(record, decimals)


def _list_of(kind: Kind) -> Kind:
    write = kind.write
    return Kind(
        lambda value, reading: (
            [found for item in value if (found := kind.read(item, reading)) is not None]
            if isinstance(value, list)
            else None
        ),
        None
        if write is None
        else lambda items, decimals: None if items is None else [write(item, decimals) for item in items],
    )


_BY_TYPE: dict[Any, Kind] = {
    bool: Kind(lambda value, _: value if isinstance(value, bool) else None),
    int: Kind(lambda value, _: values.count_of(value)),
    str: text(_MAX_TEXT),
    dict: Kind(lambda value, reading: found if isinstance(found := reading.json(value), dict) else None),
}
