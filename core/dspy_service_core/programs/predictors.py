"""Finds the calls that make predictors in a program's classes, and the signatures that these name."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from dspy_service_core.code.inheritance import fields_of, resolution_order
from dspy_service_core.code.source_names import Definition, Unreadable
from dspy_service_core.programs.parameters import Function, methods
from dspy_service_core.programs.program_names import UNKNOWN, ProgramNames, module_assets

_MOST_SIGNATURES = 32
"""Classes whose fields are gathered; each may have as many ancestors as the source has classes."""
_MOST_STEPS = 8
"""How many names and calls lie between a predictor and the signature that is still found."""
_QUALIFIED = "[({'\""
"""Signs of types in a signature's text that may hold commas of their own."""


@dataclass(frozen=True, slots=True)
class SignatureSeen:
    """`name` is a class's name, or the text itself; fields are None if only running the source would tell."""

    name: str
    inputs: tuple[str, ...] | None = None
    outputs: tuple[str, ...] | None = None


_Read = dict[Definition, SignatureSeen | None]


@dataclass(frozen=True, slots=True)
class Predictor:
    """A call that makes a predictor. `signature` is None if only running the source would tell."""

    module: str
    line: int
    signature: SignatureSeen | None


@dataclass(frozen=True, slots=True)
class Made:
    by_constructors: tuple[Predictor, ...]
    elsewhere: tuple[Predictor, ...]
    """In other methods, when the program is called."""


def made_by(leaf: Definition) -> Made:
    """All that the class, its ancestors and the modules that they build make, each class read once."""
    constructors: list[Predictor] = []
    elsewhere: list[Predictor] = []
    read: _Read = {}
    waiting, known = [leaf], {leaf}
    while waiting:
        one = waiting.pop()
        built: list[Definition] = []
        for method in methods(one):
            in_constructor = method.name == "__init__"
            for call, meaning in _calls(method, one):
                if isinstance(meaning, Definition):
                    built.append(meaning)
                elif predictor := _predictor(call, meaning, one, read):
                    (constructors if in_constructor else elsewhere).append(predictor)
        for other in [*one.bases, *built]:
            if other.node is not None and other not in known:
                known.add(other)
                waiting.append(other)
    return Made(tuple(constructors), tuple(elsewhere))


def argument(call: ast.Call, name: str) -> ast.expr | None:
    """The argument of that name, which is the callee's first."""
    given = next((keyword.value for keyword in call.keywords if keyword.arg == name), None)
    return given or (call.args[0] if call.args else None)


def _calls(method: Function, owner: Definition) -> Iterator[tuple[ast.Call, Definition | str]]:
    for node in ast.walk(method) if owner.scope else ():
        if isinstance(node, ast.Call) and owner.scope and (meaning := owner.scope.resolve(node.func)):
            yield node, meaning


def _predictor(call: ast.Call, path: str, owner: Definition, read: _Read) -> Predictor | None:
    asset = module_assets().get(path)
    if asset is None or asset.init.find("signature") is None or not isinstance(owner.scope, ProgramNames):
        return None
    return Predictor(asset.path, call.lineno, _signature(argument(call, "signature"), owner.scope, read))


def _signature(node: ast.expr | None, names: ProgramNames, read: _Read) -> SignatureSeen | None:
    """Of a text, a class, `dspy.Signature(text)`, one of these with other instructions, or a name for one of them."""
    for _ in range(_MOST_STEPS):
        if isinstance(node, ast.Name) and node.id in names.literals:
            node = names.literals[node.id]
        elif isinstance(node, ast.Call):
            node = _inside(node, names)
        else:
            break
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _of_text(node.value)
    meaning = names.resolve(node)
    if not isinstance(meaning, Definition) or not meaning.is_signature:
        return None
    if meaning not in read and len(read) < _MOST_SIGNATURES:
        read[meaning] = _of_class(meaning)
    return read.get(meaning)


def _inside(call: ast.Call, names: ProgramNames) -> ast.expr | None:
    path = names.resolve(call.func)
    if isinstance(path, str) and path.startswith("dspy.") and path.endswith((".Signature", ".make_signature")):
        return argument(call, "signature")
    if isinstance(call.func, ast.Attribute) and call.func.attr == "with_instructions":
        return call.func.value
    return None


def _of_text(text: str) -> SignatureSeen | None:
    inputs, arrow, outputs = text.partition("->")
    if not arrow:
        return None
    if any(sign in text for sign in _QUALIFIED):
        return SignatureSeen(text)
    return SignatureSeen(text, _names(inputs), _names(outputs))


def _names(side: str) -> tuple[str, ...]:
    return tuple(part.partition(":")[0].strip() for part in side.split(",") if part.strip())


def _of_class(found: Definition) -> SignatureSeen | None:
    if any(one is UNKNOWN for one in resolution_order(found)):
        return None
    try:
        fields = fields_of(found)
    except Unreadable:
        return None
    inputs, outputs = (tuple(name for name, its in fields.items() if its == kind) for kind in ("input", "output"))
    return SignatureSeen(found.name, inputs, outputs)
