"""Converts a dataset's cell to the type of its field's annotation, for inputs and gold alike.

An output becomes what DSPy parses from a model's right answer, so that `gold.x == pred.x` holds for that answer. DSPy
repairs text to make JSON of it; here text is read only as JSON, as a Python literal or as itself, so that "see [1]" is
not taken for a list. Some cells that DSPy refuses are common in datasets, and so are accepted: an enum's number as text
or its name, a bare URL for an image, a list of messages for a history. Digits for a date are refused, because they
would be read as seconds.
"""

import datetime
import enum
import inspect
import operator
import re
import types
from collections.abc import Callable, Iterable
from functools import partial, reduce
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import dspy
import pydantic
from dspy.adapters.utils import annotation_allows_none, parse_value
from pydantic import BeforeValidator, TypeAdapter

from dspy_service_core.rows.cell_text import inside

_UNTYPED = (Any, object, None, inspect.Parameter.empty)
_TIMES = (datetime.date, datetime.datetime, datetime.time)
_NUMBER = re.compile(r"\s*[-+]?[\d_]*\.?\d+(?:[eE][-+]?\d+)?\s*")
_SHOWN = 80
_TAG = re.compile(r"nullable|none|int|float|bool|str|bytes|date|datetime|time|decimal|uuid|.*[\[(].*[\])]")
"""Parts of pydantic's error locations that are not names in the cell, but the member of a union that was tried."""


class BadCell(ValueError):
    """`place` is where in the cell, such as `[1].name`; empty for the whole cell."""

    def __init__(self, place: str, reason: str, value: Any) -> None:
        shown = repr(value)
        self.shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
        self.place, self.reason = place, reason
        super().__init__(f"{place}: {reason} ({self.shown})")


class CellReader:
    """Reads the cells of one field. Making a reader costs more than reading with it, so one is made for each field."""

    def __init__(self, annotation: Any, *, output: bool) -> None:
        self._annotation, self._output = annotation, output
        self._nullable = annotation_allows_none(annotation)
        self._bare = _without_none(annotation)
        self._as_it_is = not output and self._bare in _UNTYPED
        self._takes_text = self._bare is str or str in _members(self._bare)

    @property
    def type_name(self) -> str:
        return _name(self._annotation)

    @property
    def may_be_no_text(self) -> bool:
        """Whether the field takes both text and None. Then only the gold tells what a model means by `None`."""
        return self._nullable and self._takes_text

    def read(self, value: Any, *, empty_is_none: bool = False) -> Any:
        """`empty_is_none`: whether empty text means None, as in CSV, if the field allows None."""
        if self._as_it_is or (value is None and self._nullable):
            return value
        if self._bare is str and isinstance(value, str) and not (self._nullable and not value):
            return _stripped(value) if self._output else value
        try:
            return self._read(value, empty_is_none)
        except BadCell:
            raise
        except pydantic.ValidationError as error:
            raise _bad_cell(error, value) from None
        except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
            raise BadCell("", _first_line(error), value) from None

    def _read(self, value: Any, empty_is_none: bool) -> Any:
        if isinstance(value, str) and not value.strip():
            if self._nullable and not value and (empty_is_none or not self._takes_empty):
                return None
            if not self._takes_empty:
                raise ValueError("it is empty")
        if self._bare is str:
            return self._text(value)
        if self._bare in _UNTYPED:
            return parse_value(value, Any) if isinstance(value, str) else value
        return self._validated(value)

    def _text(self, value: Any) -> Any:
        if isinstance(value, str):
            return _stripped(value) if self._output else value
        if isinstance(value, list) and not self._output:
            return value  # DSPy shows a model the texts of a list one by one
        return _to_text(value)

    def _validated(self, value: Any) -> Any:
        error: Exception | None = None
        for form in self._forms(value):
            try:
                return self._adapter.validate_python(form)
            except (ValueError, TypeError) as refused:
                error = error or refused
        raise error or ValueError("it cannot be read")

    def _forms(self, value: Any) -> list[Any]:
        """What to try, in order. As in DSPy, what is inside a text (JSON or a literal) usually comes before the text
        itself, and is not tried for a union of text and None."""
        if not isinstance(value, str) or self.may_be_no_text:
            return [value]
        found = inside(value)
        if found is value:
            return [value]
        as_text_first = not self._output and not self._takes_text and not isinstance(found, dict | list | tuple | set)
        return [value, found] if as_text_first else [found, value]

    @property
    def _takes_empty(self) -> bool:
        bare = self._bare
        if get_origin(bare) is Literal:
            return "" in get_args(bare)
        if isinstance(bare, enum.EnumMeta):
            members: list[Any] = list(bare)
            return any(member.value == "" for member in members)
        return bare in _UNTYPED or self._takes_text or (inspect.isclass(bare) and issubclass(bare, str | bytes))

    @property
    def _adapter(self) -> TypeAdapter[Any]:
        if "adapter" not in self.__dict__:
            self.__dict__["adapter"] = TypeAdapter(_mended(self._annotation))
        adapter: TypeAdapter[Any] = self.__dict__["adapter"]
        return adapter


def _mended(annotation: Any) -> Any:
    """The annotation with a reader of ours (see `_fix`) before each type that needs one, at any depth of nesting."""
    if (fix := _fix(annotation)) is not None:
        return Annotated[annotation, BeforeValidator(fix)]
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return Annotated[(_mended(args[0]), *args[1:])]
    if origin in (Union, types.UnionType):
        return _union(arg if arg is str else _mended(arg) for arg in args)
    if not args or not inspect.isclass(origin):
        return annotation
    generic: Any = origin
    return generic[tuple(arg if arg is ... else _mended(arg) for arg in args)]


def _fix(annotation: Any) -> Callable[[Any], Any] | None:
    if annotation is str:
        return _to_text
    if annotation in _TIMES:
        return _no_number
    if annotation is dspy.History:
        return _messages
    if get_origin(annotation) is Literal:
        return partial(_one_of, get_args(annotation))
    if isinstance(annotation, enum.EnumMeta):
        return partial(_member, annotation)
    if inspect.isclass(annotation) and issubclass(annotation, dspy.Type) and (field := _only_text_field(annotation)):
        return partial(_wrapped, field)
    return None


def _to_text(value: Any) -> str:
    """A number becomes text as a model would write it."""
    if not isinstance(value, str | int | float):
        raise ValueError("it must be text")
    return str(value)


def _no_number(value: Any) -> Any:
    if isinstance(value, int | float) or (isinstance(value, str) and _NUMBER.fullmatch(value)):
        raise ValueError("write it like 2024-01-31 or 12:30 (a number would be read as seconds)")
    return value


def _messages(value: Any) -> Any:
    return {"messages": value} if isinstance(value, list) else value


def _one_of(allowed: tuple[Any, ...], value: Any) -> Any:
    for form in _readings(value):
        for choice in allowed:
            if _same(form, choice.value if isinstance(choice, enum.Enum) and form is not choice else choice):
                return choice
    raise ValueError(f"it must be one of {', '.join(map(repr, allowed))}")


def _member(kind: enum.EnumMeta, value: Any) -> Any:
    if isinstance(value, kind):
        return value
    members: list[Any] = list(kind)
    for form in _readings(value):
        for member in members:
            if _same(form, member.value):
                return member
    if isinstance(value, str) and value.strip() in kind.__members__:
        return kind[value.strip()]
    raise ValueError(f"it must be one of {', '.join(repr(m.value) for m in members)}")


def _readings(value: Any) -> list[Any]:
    return [value, value.strip(), inside(value)] if isinstance(value, str) else [value]


def _same(one: Any, other: Any) -> bool:
    """Equal, but True and 1 are different here."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _only_text_field(kind: type[dspy.Type]) -> str | None:
    """The only required field of a dspy type that can be made of one text but does not read text itself."""
    required = [name for name, field in kind.model_fields.items() if field.is_required()]
    reads_itself = bool(kind.__pydantic_decorators__.model_validators)
    return required[0] if len(required) == 1 and not reads_itself else None


def _wrapped(field: str, value: Any) -> Any:
    return {field: value} if isinstance(value, str) else value


def _stripped(text: str) -> str:
    """Treats text as DSPy's chat adapter treats an answer: split into lines, and stripped at both ends."""
    return "\n".join(text.splitlines()).strip()


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation
    return _union(arg for arg in get_args(annotation) if arg is not type(None))


def _union(annotations: Iterable[Any]) -> Any:
    return reduce(operator.or_, annotations)


def _members(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else ()


def _bad_cell(error: pydantic.ValidationError, value: Any) -> BadCell:
    first = error.errors(include_url=False, include_context=False)[0]
    place = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"] if not _TAG.fullmatch(str(part))
    )
    reason = first["msg"].removeprefix("Value error, ")
    return BadCell(place, f"{reason[:1].lower()}{reason[1:]}", first["input"] if place else value)


def _name(annotation: Any) -> str:
    """The annotation as people write it: `list[Person] | None`."""
    origin, args = get_origin(annotation), get_args(annotation)
    if annotation in (None, type(None)):
        return "None"
    if origin is Annotated:
        return _name(args[0])
    if origin in (Union, types.UnionType):
        return " | ".join(map(_name, args))
    name = getattr(origin or annotation, "__name__", str(annotation))
    shown = map(repr, args) if origin is Literal else ("..." if arg is ... else _name(arg) for arg in args)
    return f"{name}[{', '.join(shown)}]" if args else name


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
