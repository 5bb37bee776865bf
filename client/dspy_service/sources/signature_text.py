"""A live signature as the source of a class that gives the same prompts.

For signatures that no source defines: of a string, or changed since (`with_instructions`, `append`).
"""

import inspect
import types
import typing
from collections.abc import Callable
from typing import Any

from dspy_service.errors import UnusableSource

Write = Callable[[Any, str], str]
_CONSTRAINTS = ("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "max_digits", "decimal_places")
_KIND = "__dspy_field_type"
_NO_DEFAULT = "PydanticUndefined"


def is_signature(value: Any) -> bool:
    """A class of its own, and not DSPy's base."""
    bases = getattr(value, "__mro__", ()) if isinstance(value, type) else ()
    return any(_is_base(base) for base in bases) and not _is_base(value)


def _is_base(kind: type) -> bool:
    return kind.__name__ == "Signature" and kind.__module__.startswith("dspy.")


def equal(one: Any, other: Any) -> bool:
    if one.instructions != other.instructions or list(one.fields) != list(other.fields):
        return False
    return all(_said(one.fields[name]) == _said(other.fields[name]) for name in one.fields)


def _said(field: Any) -> tuple[Any, ...]:
    said = field.json_schema_extra
    return (field.annotation, said[_KIND], said.get("desc"), repr(field.metadata))


def write(signature: Any, name: str, of: Write, imports: dict[str, None]) -> str:
    lines = [f"class {name}(dspy.Signature):", f"    __doc__ = {signature.instructions!r}"]
    for field, info in signature.fields.items():
        annotation = annotation_text(info.annotation, of, imports)
        lines.append(f"    {field}: {annotation} = {_field_call(field, info, of)}")
    return "\n".join(lines) + "\n"


def field_call(info: Any, of: Write, name: str = "") -> str:
    return _field_call(name, info, of)


def _field_call(name: str, info: Any, of: Write) -> str:
    said = dict(info.json_schema_extra)
    kind = "InputField" if said[_KIND] == "input" else "OutputField"
    given = {key: said[key] for key in ("desc",) if key in said}
    if given.get("desc") == f"${{{name}}}":
        del given["desc"]
    for constraint in info.metadata:
        given |= {key: getattr(constraint, key) for key in _CONSTRAINTS if getattr(constraint, key, None) is not None}
    if type(info.default).__name__ != _NO_DEFAULT + "Type" and info.default is not ...:
        given["default"] = info.default
    return f"dspy.{kind}({', '.join(f'{key}={of(value, key)}' for key, value in given.items())})"


def annotation_text(annotation: Any, of: Write, imports: dict[str, None]) -> str:
    if annotation in (None, type(None)):
        return "None"
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        imports["import typing"] = None
        return f"typing.Literal[{', '.join(of(item, '') for item in arguments)}]"
    if origin in (typing.Union, types.UnionType):
        return " | ".join(annotation_text(item, of, imports) for item in arguments)
    if origin is not None and isinstance(origin, type):
        inner = ", ".join("..." if item is ... else annotation_text(item, of, imports) for item in arguments)
        return f"{of(origin, '')}[{inner}]"
    if annotation is typing.Any:
        imports["import typing"] = None
        return "typing.Any"
    if inspect.isclass(annotation):
        return of(annotation, "")
    raise UnusableSource(f"The annotation {annotation!r} of a signature cannot be written: define it as a class.")
