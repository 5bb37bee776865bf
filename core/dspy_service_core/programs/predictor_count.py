"""Counts the predictors that DSPy sees in a program, where reading its constructor makes that certain.

DSPy looks at a module's attributes, and into a list, tuple or dict that is one, but no deeper. The count is known if
the constructor gives predictors to attributes in plain statements, and everything else in it is inert: it can put no
predictor anywhere. Arguments are inert, because a job can give only JSON for them.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from dspy_service_core.code.inheritance import resolution_order
from dspy_service_core.code.source_names import EMPTY, MODULE, Definition, outside_functions
from dspy_service_core.programs.parameters import Function, defaults_of, find, methods
from dspy_service_core.programs.predictors import argument
from dspy_service_core.programs.program_names import ProgramNames, module_assets

_DEEPEST = 8
"""How many modules inside modules are counted."""
_MOST_CLASSES = 16
_MOST_NESTED = 3
"""Containers and calls inside each other, each of which looks through all that is inside it."""
_HARMLESS_BUILTINS = frozenset(
    {"abs", "all", "any", "bool", "dict", "enumerate", "float", "frozenset", "int", "isinstance", "len", "list", "max"}
    | {
        "min",
        "open",
        "print",
        "range",
        "repr",
        "reversed",
        "round",
        "set",
        "sorted",
        "str",
        "sum",
        "super",
        "tuple",
        "zip",
    }
)
_HARMLESS_PACKAGES = frozenset(
    {"collections", "datetime", "json", "logging", "math", "os", "pathlib", "random", "re", "string", "textwrap"}
    | {"threading", "time", "uuid", "warnings"}
)
_ACTIVE = (ast.Await, ast.Yield, ast.YieldFrom, ast.Global, ast.Nonlocal, ast.Import, ast.ImportFrom, ast.Delete)


@dataclass(frozen=True, slots=True)
class Count:
    """`visible` is None if only running the source would tell."""

    visible: int | None
    hidden: bool = False
    """There are predictors where DSPy does not look."""


UNSURE = Count(None)
NONE = Count(0)


def count_in(leaf: Definition) -> Count:
    return _Counting().of(leaf)


@dataclass(slots=True)
class _Counting:
    known: dict[Definition, Count] = field(default_factory=dict)
    depth: int = 0

    def of(self, one: Definition) -> Count:
        """Each class is counted once."""
        if one not in self.known and self.depth < _DEEPEST and len(self.known) < _MOST_CLASSES:
            self.known[one] = UNSURE  # for a class that builds itself
            self.depth += 1
            self.known[one] = self._constructed(one)
            self.depth -= 1
        return self.known.get(one, UNSURE)

    def _constructed(self, one: Definition) -> Count:
        found, order = find(one, "__init__"), resolution_order(one)
        if any(base.node is None and base not in (MODULE, EMPTY) for base in order):
            return UNSURE
        if found.owner is None:
            return NONE
        if found.function is None or not isinstance(found.owner.scope, ProgramNames):
            return UNSURE
        below = order[order.index(found.owner) + 1 :]
        if any(method.name == "__init__" for base in below for method in methods(base)):
            return UNSURE
        return _Constructor(self, found.function, found.owner.scope).count()


class _Constructor:
    def __init__(self, counting: _Counting, function: Function, names: ProgramNames) -> None:
        self._counting = counting
        self._body = function.body
        self._names = names
        given = function.args
        arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
        parameters = [one.arg for one in arguments if one is not None]
        self._this = parameters[0] if parameters else ""
        self._inert_names = set(parameters[1:]) | _stored(self._body)
        self._inert_names -= {name for name, default in defaults_of(function).items() if not self._is_inert(default)}

    def count(self) -> Count:
        held: dict[str, Count] = {}
        for statement in self._body:
            attribute, value = self._given(statement)
            if value is None:
                if not self._is_inert(statement):
                    return UNSURE
            elif (found := self._held(value)).visible is None:
                return UNSURE
            else:
                held[attribute] = found
        return _sum(held.values())

    def _given(self, statement: ast.stmt) -> tuple[str, ast.expr | None]:
        """The attribute to which the statement gives a value, and that value."""
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target = statement.targets[0]
        elif isinstance(statement, ast.AnnAssign):
            target = statement.target
        else:
            return "", None
        if isinstance(target, ast.Attribute) and self._is_this(target.value):
            return target.attr, statement.value
        return "", None

    def _held(self, value: ast.expr, depth: int = 0) -> Count:
        if self._is_inert(value):
            return NONE
        if depth < _MOST_NESTED and isinstance(value, ast.Call):
            return self._made(value, depth + 1)
        if depth < _MOST_NESTED and isinstance(value, ast.List | ast.Tuple | ast.Dict):
            return _sum(self._items(value, depth + 1))
        return UNSURE

    def _items(self, value: ast.List | ast.Tuple | ast.Dict, depth: int) -> Iterator[Count]:
        for item in value.values if isinstance(value, ast.Dict) else value.elts:
            count = self._held(item, depth)
            deeper = isinstance(item, ast.List | ast.Tuple | ast.Dict) and count.visible
            yield Count(0, hidden=True) if deeper else count

    def _made(self, call: ast.Call, depth: int) -> Count:
        made = self._names.resolve(call.func)
        if isinstance(made, Definition):
            given = [*call.args, *(keyword.value for keyword in call.keywords)]
            return self._counting.of(made) if made.kind == "module" and all(map(self._is_inert, given)) else UNSURE
        asset = module_assets().get(made) if made else None
        if asset is not None and asset.init.find("module") is not None:
            inner = argument(call, "module")
            return self._held(inner, depth) if inner is not None else UNSURE
        return Count(asset.predictors) if asset is not None else UNSURE

    def _is_inert(self, tree: ast.AST) -> bool:
        attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
        targets = {id(node.value) for node in attributes if isinstance(node.ctx, ast.Store)}
        owners = {id(node.value) for node in attributes}
        return all(self._is_inert_node(node, targets, owners) for node in outside_functions(tree))

    def _is_inert_node(self, node: ast.AST, targets: set[int], owners: set[int]) -> bool:
        if isinstance(node, ast.Call):
            return _is_super(node) or self._is_harmless(node.func)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            return id(node) in targets or self._is_inert_name(node, may_be_class=id(node) not in owners)
        return not isinstance(node, (*_ACTIVE, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))

    def _is_inert_name(self, name: ast.Name, *, may_be_class: bool) -> bool:
        """An attribute of a class may be a predictor; the class itself is none."""
        if name.id in self._inert_names:
            return True
        if self._is_this(name):
            return False
        if name.id in self._names.literals:
            return isinstance(self._names.literals[name.id], ast.Constant)
        meaning = self._names.resolve(name)
        if isinstance(meaning, Definition):
            return may_be_class
        return meaning is not None and _is_harmless_path(meaning)

    def _is_harmless(self, function: ast.expr) -> bool:
        """Whether a call of it makes no predictor. What a method is called on is looked at by itself."""
        if isinstance(function, ast.Attribute):
            return not _is_super(function.value) or function.attr == "__init__"
        if not isinstance(function, ast.Name) or function.id in self._inert_names:
            return False
        path = self._names.resolve(function)
        return isinstance(path, str) and _is_harmless_path(path)

    def _is_this(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and node.id == self._this


def _sum(counts: Iterable[Count]) -> Count:
    visible, hidden = 0, False
    for count in counts:
        if count.visible is None:
            return UNSURE
        visible, hidden = visible + count.visible, hidden or count.hidden
    return Count(visible, hidden)


def _stored(body: list[ast.stmt]) -> set[str]:
    nodes = (node for statement in body for node in outside_functions(statement))
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _is_super(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super"


def _is_harmless_path(path: str) -> bool:
    head, _, rest = path.partition(".")
    return rest in _HARMLESS_BUILTINS or rest.endswith("Error") if head == "builtins" else head in _HARMLESS_PACKAGES
