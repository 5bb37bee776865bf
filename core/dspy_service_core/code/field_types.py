"""Reads the type of a signature's field from its annotation, without running code: plain builtins, dates, choices,
lists and dicts of these, and each of them or None. Any other type stays unknown until the pod runs the code.
"""

import ast
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

Resolve = Callable[[ast.expr], object]
"""Returns the dotted path that an expression stands for."""
_KINDS = {
    "builtins.int": "int",
    "builtins.float": "float",
    "builtins.bool": "bool",
    "datetime.date": "date",
    "datetime.datetime": "datetime",
    "builtins.list": "list",
    "builtins.dict": "dict",
    "typing.List": "list",
    "typing.Dict": "dict",
}
_TYPING = ("typing.", "typing_extensions.")


@dataclass(frozen=True, slots=True)
class FieldType:
    written: str
    kind: str
    """int, float, bool, date, datetime, list, dict or choice."""
    nullable: bool = False
    choices: tuple[Any, ...] = ()
    item: "FieldType | None" = None
    """Type of a list's items, or of a dict's values."""


def type_of(annotation: ast.expr, resolve: Resolve) -> FieldType | None:
    """None for text, which needs no check, and for types that are not known here."""
    try:
        found = _type_of(annotation, resolve)
        return replace(found, written=ast.unparse(annotation)) if found else None
    except RecursionError:  # a union of thousands
        return None


def _type_of(annotation: ast.expr, resolve: Resolve) -> FieldType | None:
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        return _one_or_none([annotation.left, annotation.right], resolve)
    if not isinstance(annotation, ast.Subscript):
        kind = _KINDS.get(_path(annotation, resolve))
        return FieldType("", kind) if kind else None
    whole = _path(annotation.value, resolve)
    arguments = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
    return _generic(whole, arguments, resolve)


def _generic(whole: str, arguments: list[ast.expr], resolve: Resolve) -> FieldType | None:
    special = whole.rpartition(".")[2] if whole.startswith(_TYPING) else ""
    if special == "Optional":
        return _one_or_none([*arguments, ast.Constant(None)], resolve)
    if special == "Union":
        return _one_or_none(arguments, resolve)
    if special == "Annotated":
        return _type_of(arguments[0], resolve)
    if special == "Literal":
        return _choice(arguments)
    kind = _KINDS.get(whole)
    if kind in ("list", "dict") and len(arguments) == (1 if kind == "list" else 2):
        return FieldType("", kind, item=_type_of(arguments[-1], resolve))
    return None


def _one_or_none(members: list[ast.expr], resolve: Resolve) -> FieldType | None:
    left = [member for member in members if not (isinstance(member, ast.Constant) and member.value is None)]
    found = _type_of(left[0], resolve) if len(left) == 1 else None
    return replace(found, nullable=True) if found and len(left) < len(members) else None


def _choice(arguments: list[ast.expr]) -> FieldType | None:
    try:
        return FieldType("", "choice", choices=tuple(ast.literal_eval(argument) for argument in arguments))
    except (ValueError, TypeError):
        return None


def _path(node: ast.expr, resolve: Resolve) -> str:
    found = resolve(node)
    return found if isinstance(found, str) else ""
