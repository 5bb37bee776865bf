"""Follows what each name of a module stands for, statement by statement and without running any, for
`signature_source` and `program_names`.
"""

import ast
import builtins
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from dspy_service_core.code.field_types import FieldType

_PLAIN_PACKAGES = frozenset({*sys.stdlib_module_names, "pydantic", "typing_extensions"})
_PLAIN_BASES = frozenset({"dspy.Type", "dspy.Example", "dspy.Prediction"})
"""Base classes of users' helper classes; none of them is a signature or a module."""
_EMPTY_BASES = frozenset({"builtins.object", "abc.ABC", "typing.Generic", "typing.Protocol"})
"""Base classes that have no constructor of their own."""


class Unreadable(Exception):
    """Only running the source would tell; the message says why."""


Kind = Literal["signature", "module", "plain", "unknown"]


@dataclass(frozen=True, slots=True, eq=False)
class Definition:
    """A class of the source, with what its own body declares. Inherited fields are gathered only for the one class that
    is asked for (`inheritance`); otherwise each class of a chain would hold a copy of everything above it.
    """

    name: str
    kind: Kind
    fields: Mapping[str, str] = field(default_factory=dict)
    """Fields of a signature: input or output by name."""
    types: Mapping[str, FieldType] = field(default_factory=dict)
    """Types of the fields whose type can be read from the source."""
    others: frozenset[str] = frozenset()
    """Names of the functions and classes in its body."""
    bases: tuple["Definition", ...] = ()
    node: ast.ClassDef | None = None
    """Its source, for the classes of a program."""
    scope: "Names | None" = None
    """What the names in its methods stand for, with its source."""

    @property
    def is_signature(self) -> bool:
        return self.kind == "signature"


ROOT = Definition("dspy.Signature", "signature")
MODULE = Definition("dspy.Module", "module")
_PLAIN = Definition("", "plain")
EMPTY = Definition("object", "plain")
Meaning = str | Definition | None
"""A dotted path, a class of this source, or None if only running the source would tell."""
_LONGEST_PATH = 200
"""Longer paths match nothing that is known here, and each alias would hold a copy of the path."""


class Names:
    def __init__(self) -> None:
        # The service defines `dspy` without an import, as clients of the original rely on.
        self._meanings: dict[str, Meaning] = {"dspy": "dspy"}
        self._stars: set[str] = set()

    def signatures(self) -> list[Definition]:
        held = {m: None for m in self._meanings.values() if isinstance(m, Definition) and m.is_signature}
        return list(held)

    def define(self, definition: Definition) -> None:
        self._meanings.pop(definition.name, None)  # the order of definition, also for a name used again
        self._meanings[definition.name] = definition

    def bind(self, statement: ast.stmt) -> None:
        """Enters what a top-level statement (not a class) binds."""
        if isinstance(statement, ast.Import | ast.ImportFrom):
            self._import(statement)
        elif isinstance(statement, ast.Assign) and all(isinstance(t, ast.Name) for t in statement.targets):
            meaning = self.resolve(statement.value)
            self._rebind((t.id for t in statement.targets if isinstance(t, ast.Name)), meaning)
        else:
            self._bind_below(statement)

    def resolve(self, node: ast.expr | None) -> Meaning:
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        meaning = self._meaning(node.id)
        if isinstance(meaning, str):
            path = _path(meaning, *reversed(parts))
            return path and self._followed(path)
        return None if parts else meaning

    def is_signature(self, node: ast.expr) -> bool:
        meaning = self.resolve(node)
        return isinstance(meaning, Definition) and meaning.is_signature

    def base(self, node: ast.expr, owner: str) -> Definition:
        meaning = self.resolve(node.value if isinstance(node, ast.Subscript) else node)
        if isinstance(meaning, Definition):
            return meaning
        if meaning and meaning.startswith("dspy.") and meaning.endswith(".Signature"):
            return ROOT
        if meaning and meaning.startswith("dspy.") and meaning.endswith(".Module"):
            return MODULE
        if meaning in _EMPTY_BASES:
            return EMPTY
        if meaning and (meaning in _PLAIN_BASES or meaning.partition(".")[0] in _PLAIN_PACKAGES):
            return _PLAIN
        raise Unreadable(f"what class '{owner}' derives from comes from elsewhere")

    def _meaning(self, name: str) -> Meaning:
        if name in self._meanings:
            return self._meanings[name]
        if hasattr(builtins, name):
            return f"builtins.{name}"
        return f"dspy.{name}" if self._stars == {"dspy"} else None

    def _import(self, statement: ast.Import | ast.ImportFrom) -> None:
        module = "." * statement.level + (statement.module or "") if isinstance(statement, ast.ImportFrom) else ""
        for alias in statement.names:
            if alias.name == "*":
                self._stars.add(module)
            elif module:
                self._rebind([alias.asname or alias.name], _path(module, alias.name))
            else:
                head = alias.name.partition(".")[0]
                self._rebind([alias.asname or head], alias.name if alias.asname else head)

    def _rebind(self, names: Iterable[str], meaning: Meaning) -> None:
        for name in names:
            old = self._meanings.get(name)
            if isinstance(old, Definition) and old.is_signature and old is not meaning:
                self._unreadable(f"the name '{name}' of a signature is bound anew")
            self._meanings[name] = meaning

    def _followed(self, path: str) -> Meaning:
        """What a dotted path leads to, for those who know more than this source."""
        return path

    def _unreadable(self, why: str) -> None:
        raise Unreadable(why)

    def _below_condition(self, node: ast.ClassDef) -> None:
        self._unreadable(f"class '{node.name}' is defined under a condition")

    def _bind_below(self, statement: ast.stmt) -> None:
        """For compound statements, `del` and others: names that they may bind become unknown, since it is unknown which
        branch runs."""
        for node in outside_functions(statement):
            if isinstance(node, ast.ClassDef):
                self._below_condition(node)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                self._import(node)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                self._rebind([node.name], None)
            elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                self._rebind([node.id], None)


def _path(*parts: str) -> str | None:
    return ".".join(parts) if sum(map(len, parts)) + len(parts) - 1 <= _LONGEST_PATH else None


def outside_functions(node: ast.AST) -> Iterable[ast.AST]:
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        if not isinstance(current, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(current))
