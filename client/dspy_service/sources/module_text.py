"""The top-level statements of a module, and which of them a name needs: imports, constants, helpers, in their order.

Which names a statement takes from around itself is `symtable`'s to say, Python's own account of scopes.
"""

import ast
import builtins
import symtable
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from dspy_service.errors import UnusableSource

BUILTIN = frozenset(dir(builtins)) | {"__name__", "__file__", "__doc__", "__package__", "__spec__"}
_DEFINED = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True, eq=False)
class Statement:
    text: str
    binds: frozenset[str]
    changes: frozenset[str] = frozenset()
    """Names whose values it changes: `STOP.add("x")`, `LIMITS["a"] = 1`."""
    is_import: bool = False
    is_star: bool = False
    is_definition: bool = False
    imports_relatively: bool = False
    """Anywhere in it."""
    is_future: bool = False

    @cached_property
    def reads(self) -> frozenset[str]:
        """As soon as it runs, and not when what it defines is called."""
        table = symtable.symtable(self.text, "<source>", "exec")
        return frozenset(symbol.get_name() for symbol in table.get_symbols() if symbol.is_referenced())

    @cached_property
    def uses(self) -> frozenset[str]:
        return frozenset({*self.reads, *self.changes, *_global_names(self.text), *_quoted_names(self.text)}) - BUILTIN


@dataclass(frozen=True)
class ModuleText:
    statements: tuple[Statement, ...]
    guarded: frozenset[str]
    """Names that are bound only where the module is run as a script."""
    latest: bool = False
    """What binds a name anew takes the place of what did before: a notebook's cells."""
    _binding: defaultdict[str, list[Statement]] = field(default_factory=lambda: defaultdict(list))
    _changing: defaultdict[str, list[Statement]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        for statement in self.statements:
            for name in statement.binds:
                self._binding[name].append(statement)
            for name in statement.changes:
                self._changing[name].append(statement)

    def binds(self, name: str) -> bool:
        return name in self._binding or name in self.guarded

    def binding(self, name: str) -> list[Statement]:
        return self._binding.get(name, [])

    def makes(self, name: str) -> bool:
        """And does not only import it."""
        return any(not statement.is_import for statement in self._binding.get(name, ()))

    def needed(self, name: str) -> list[Statement]:
        """What binds the name, and all that this uses."""
        found: set[Statement] = {s for s in self.statements if s.is_future}
        seen: set[str] = set()
        waiting = {name}
        while waiting := waiting - seen:
            seen |= waiting
            new = {statement for used in waiting for statement in self._about(used)} - found
            found |= new
            waiting = {used for statement in new for used in statement.uses}
            self._refuse_guarded(name, waiting)
        if any(used not in self._binding and used not in BUILTIN for used in seen):
            found |= {s for s in self.statements if s.is_star}
        return [s for s in self.statements if s in found]

    def _about(self, name: str) -> Iterable[Statement]:
        """What is done to an imported thing (`dspy.configure(...)`) is the script's business, not the name's."""
        binding = self._binding.get(name, [])
        if self.latest:
            anew = [n for n, statement in enumerate(binding) if name not in statement.reads | statement.changes]
            binding = binding[anew[-1] if anew else 0 :]
        return binding if any(s.is_import for s in binding) else [*binding, *self._changing.get(name, [])]

    def _refuse_guarded(self, name: str, used: Iterable[str]) -> None:
        for other in used:
            if other in self.guarded and other not in self._binding:
                raise UnusableSource(
                    f"{name} uses {other}, which is bound below `if __name__ == '__main__'`: bind it at the top level."
                )


def read_module(text: str, *, latest: bool = False) -> ModuleText:
    lines = text.splitlines(keepends=True)
    tree = ast.parse(text)
    guarded = [node for node in tree.body if _is_guard(node)]
    statements = tuple(_statement(node, text, lines) for node in tree.body if node not in guarded)
    return ModuleText(statements, frozenset(name for node in guarded for name in _bound(node)), latest)


def _statement(node: ast.stmt, text: str, lines: list[str]) -> Statement:
    imports = node if isinstance(node, ast.Import | ast.ImportFrom) else None
    return Statement(
        _text(node, text, lines),
        frozenset(_bound(node)),
        frozenset(_changed(node)),
        is_import=imports is not None,
        is_star=imports is not None and any(alias.name == "*" for alias in imports.names),
        is_definition=isinstance(node, _DEFINED),
        imports_relatively=any(isinstance(n, ast.ImportFrom) and n.level for n in ast.walk(node)),
        is_future=isinstance(node, ast.ImportFrom) and node.module == "__future__",
    )


def _text(node: ast.stmt, text: str, lines: list[str]) -> str:
    if isinstance(node, _DEFINED):  # with its decorators, which are above it
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        return "".join(lines[first - 1 : node.end_lineno]).rstrip()
    return ast.get_source_segment(text, node) or ""


def _is_guard(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and any(isinstance(n, ast.Name) and n.id == "__name__" for n in ast.walk(node.test))


def _bound(statement: ast.stmt) -> Iterator[str]:
    for node in _outside_definitions(statement):
        match node:
            case ast.alias(name, asname):
                yield asname or name.partition(".")[0]
            case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name):
                yield name
            case ast.Name(id, ctx=ast.Store()) | ast.MatchAs(name=str(id)) | ast.ExceptHandler(name=str(id)):
                yield id


def _changed(statement: ast.stmt) -> Iterator[str]:
    for node in _outside_definitions(statement):
        match node:
            case ast.Attribute(ctx=ast.Store() | ast.Del()) | ast.Subscript(ctx=ast.Store() | ast.Del()):
                yield from _root(node)
            case ast.Expr(ast.Call(ast.Attribute() as method)):
                yield from _root(method)
            case ast.AugAssign(ast.Name(id)):
                yield id
            case ast.Delete(targets):
                yield from (target.id for target in targets if isinstance(target, ast.Name))


def _root(node: ast.expr) -> Iterator[str]:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id


def _outside_definitions(node: ast.AST) -> Iterator[ast.AST]:
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        if not isinstance(current, _DEFINED | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(current))


def _global_names(text: str) -> set[str]:
    """Of the functions and classes in it."""
    names: set[str] = set()
    waiting = list(symtable.symtable(text, "<source>", "exec").get_children())
    while waiting:
        table = waiting.pop()
        names |= {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global()}
        waiting.extend(table.get_children())
    return names


def _quoted_names(text: str) -> Iterator[str]:
    """Of annotations that are text: `parent: "Node"`."""
    for node in ast.walk(ast.parse(text)):
        for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            for part in ast.walk(annotation) if isinstance(annotation, ast.AST) else ():
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield from _names_in(part.value)


def _names_in(annotation: str) -> Iterator[str]:
    try:
        tree = ast.parse(annotation, mode="eval")
    except (SyntaxError, ValueError):
        return
    yield from (node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
