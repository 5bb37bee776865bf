"""Turns a Python signature into the parameters of a catalogue: which types of JSON a job may give for each."""

import ast
import inspect
from collections.abc import Callable
from typing import Any

from dspy_service_core.registry.catalogue import Callee, Parameter, Word
from dspy_service_runner.introspect.docstrings import meanings

_NAMED: dict[str, Word] = {
    "None": "null",
    "NoneType": "null",
    "bool": "bool",
    "int": "int",
    "float": "float",
    "str": "str",
    "list": "list",
    "List": "list",
    "Sequence": "list",
    "tuple": "list",
    "set": "list",
    "dict": "dict",
    "Dict": "dict",
    "Mapping": "dict",
}
_ORDER: tuple[Word, ...] = ("bool", "int", "float", "str", "list", "dict", "object", "null")
_UNIONS = frozenset({"Union", "Optional"})


def callee(function: Callable[..., Any], *documents: str | None) -> Callee:
    """`documents` are docstrings that tell of the parameters beside the function's own.

    A parameter `**_kwargs` does not count: the function ignores what it gets there, so a typo must be refused."""
    parameters = [p for name, p in inspect.signature(function).parameters.items() if name != "self"]
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    said = meanings(function.__doc__, *documents)
    return Callee(
        parameters=tuple(_parameter(p, said.get(p.name, "")) for p in named),
        further=any(
            p.kind is p.VAR_KEYWORD and not p.name.startswith("_") and _takes_json(p.annotation) for p in parameters
        ),
    )


def _parameter(parameter: inspect.Parameter, description: str) -> Parameter:
    required = parameter.default is parameter.empty
    words, choices = _types(parameter)
    return Parameter(
        name=parameter.name,
        kind="keyword" if parameter.kind is parameter.KEYWORD_ONLY else "positional",
        required=required,
        default=None if required else _json(parameter.default),
        types=tuple(word for word in _ORDER if word in words),
        choices=tuple(choices),
        description=description,
    )


def _types(parameter: inspect.Parameter) -> tuple[set[Word], list[Any]]:
    if parameter.annotation is parameter.empty:
        return _implied(parameter.default), []
    return _read(_text(parameter.annotation))


def _implied(default: object) -> set[Word]:
    """The types of a parameter without annotation: its default's type or null. Empty, which means any, where the
    default tells nothing."""
    word = _NAMED.get(type(default).__name__)
    if word in (None, "null") or default is inspect.Parameter.empty:
        return set()
    assert word is not None
    return {word, "null"}


def _json(default: object) -> Any:
    return default if isinstance(default, bool | int | float | str | None) else None


def _text(annotation: object) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _takes_json(annotation: object) -> bool:
    if annotation is inspect.Parameter.empty:
        return True
    words, _ = _read(_text(annotation))
    return words != {"object"}


def _read(text: str) -> tuple[set[Word], list[Any]]:
    """Types and choices. No types mean that any is taken."""
    try:
        return _words(ast.parse(text, mode="eval").body)
    except (SyntaxError, _Anything):
        return set(), []


class _Anything(Exception):
    """The annotation contains `Any` or `object`, so it excludes nothing."""


def _words(node: ast.expr) -> tuple[set[Word], list[Any]]:
    if isinstance(node, ast.BinOp):
        return _joined([node.left, node.right])
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _words(ast.parse(node.value, mode="eval").body)
    if isinstance(node, ast.Constant):
        return {"null"} if node.value is None else {"object"}, []
    if isinstance(node, ast.Subscript):
        return _generic(node)
    name = _last(node)
    if name in ("Any", "object"):
        raise _Anything
    return {_NAMED.get(name, "object")}, []


def _generic(node: ast.Subscript) -> tuple[set[Word], list[Any]]:
    name = _last(node.value)
    arguments = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if name == "Literal":
        values = [ast.literal_eval(argument) for argument in arguments]
        return {_NAMED[type(value).__name__] for value in values}, [v for v in values if v is not None]
    if name in _UNIONS:
        words, choices = _joined(arguments)
        return words | ({"null"} if name == "Optional" else set()), choices
    if name == "Annotated":
        return _words(arguments[0])
    return {_NAMED.get(name, "object")}, []


def _joined(nodes: list[ast.expr]) -> tuple[set[Word], list[Any]]:
    words: set[Word] = set()
    choices: list[Any] = []
    for found, values in map(_words, nodes):
        words |= found
        choices += values
    return words, choices


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
