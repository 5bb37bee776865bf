"""Follows the names of a program's source, and those that it imports from the job's own files, without running any.

The reader of a signature gives up where a source leaves doubt. A program is read as far as it goes instead: names and
classes that only running it would tell are unknown here, and `doubt` keeps the first reason.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from dspy_service_core.code.signature_source import definition_of, makes_class
from dspy_service_core.code.source_names import MODULE, Definition, Kind, Meaning, Names, Unreadable, outside_functions
from dspy_service_core.code.source_text import MAX_SOURCE_TOKENS, parse, tokens
from dspy_service_core.errors import UnusableRequest
from dspy_service_core.registry.catalogue import ModuleAsset, bundled, by_path

MOST_DEEP = 12
"""How many files are followed that import each other in a chain."""
UNKNOWN = Definition("", "unknown")
_MAIN = "__main__"


@cache
def module_assets() -> Mapping[str, ModuleAsset]:
    """DSPy's own modules by all their paths."""
    return by_path(bundled().modules)


@cache
def _dspy_module(path: str) -> Definition:
    return Definition(path, "module", bases=(MODULE,))


class ProgramNames(Names):
    def __init__(self, files: "ProgramFiles", package: str = "") -> None:
        super().__init__()
        self._files = files
        self._package = package
        self.classes: list[Definition] = []
        """All classes defined at the top of the source, also those that are bound to no name any more."""
        self.literals: dict[str, ast.expr] = {}
        """What is assigned to names as text, or as `dspy.Signature(text)`."""
        self.doubt = ""

    def read(self, module: ast.Module, field: str) -> None:
        for statement in module.body:
            if _is_main_guard(statement):
                continue
            self._note_made_classes(statement)
            if isinstance(statement, ast.ClassDef):
                self.add(self._class(statement, field))
            else:
                self._import_files(statement, field)
                self.bind(statement)
                self._keep_literal(statement)

    def add(self, definition: Definition) -> None:
        self.classes.append(definition)
        self.literals.pop(definition.name, None)
        self.define(definition)

    def base(self, node: ast.expr, owner: str) -> Definition:
        meaning = self.resolve(node.value if isinstance(node, ast.Subscript) else node)
        if isinstance(meaning, str) and meaning in module_assets():
            return _dspy_module(module_assets()[meaning].path)
        return super().base(node, owner)

    def meaning(self, name: str) -> Meaning:
        """What another file finds under the name."""
        meaning = self._meanings.get(name)
        return self._followed(meaning) if isinstance(meaning, str) else meaning

    def imported(self) -> Iterator[Meaning]:
        """What the names stand for that were imported from the job's files."""
        for meaning in list(self._meanings.values()):
            if isinstance(meaning, str) and (found := self._followed(meaning)) != meaning:
                yield found

    def binds(self, name: str) -> bool:
        return name in self._meanings

    @property
    def has_foreign_star(self) -> bool:
        return not self._stars <= {"dspy"}

    def absolute(self, path: str) -> str:
        """A relative import's path as seen from the job's folder."""
        rest = path.lstrip(".")
        level = len(path) - len(rest)
        if not level:
            return path
        parents = self._package.split(".") if self._package else []
        kept = parents[: max(len(parents) - level + 1, 0)]
        return ".".join([*kept, *([rest] if rest else [])])

    def _followed(self, path: str) -> Meaning:
        return self._files.follow(self.absolute(path))

    def _rebind(self, names: Iterable[str], meaning: Meaning) -> None:
        for name in names:
            self.literals.pop(name, None)
            old = self._meanings.get(name)
            if isinstance(old, Definition) and old is not meaning and old.kind in ("module", "unknown"):
                self._unreadable(f"the name '{name}' of a class is bound anew")
            self._meanings[name] = meaning

    def _unreadable(self, why: str) -> None:
        self.doubt = self.doubt or why

    def _below_condition(self, node: ast.ClassDef) -> None:
        self.add(Definition(node.name, "unknown", node=node, scope=self))

    def _note_made_classes(self, statement: ast.stmt) -> None:
        for node in outside_functions(statement):
            if isinstance(node, ast.Call) and makes_class(node, self):
                self._unreadable(f"line {node.lineno} may make a class by a call")

    def _class(self, node: ast.ClassDef, field: str) -> Definition:
        bases = tuple(dict.fromkeys(self._base(base, node.name) for base in node.bases))
        kinds: set[Kind] = {base.kind for base in bases}
        if "module" in kinds:
            return Definition(node.name, "module", bases=bases, node=node, scope=self)
        if "signature" in kinds:
            return self._signature(node, field)
        return Definition(node.name, "unknown" if "unknown" in kinds else "plain", bases=bases, node=node, scope=self)

    def _base(self, node: ast.expr, owner: str) -> Definition:
        try:
            return self.base(node, owner)
        except Unreadable:
            return UNKNOWN

    def _signature(self, node: ast.ClassDef, field: str) -> Definition:
        try:
            return definition_of(node, self, field)
        except Unreadable:
            return Definition(node.name, "signature", bases=(UNKNOWN,))

    def _import_files(self, statement: ast.stmt, field: str) -> None:
        """An import at the top is certain to run, so a file that it names must be there and be Python."""
        if isinstance(statement, ast.ImportFrom) and (statement.module or statement.level):
            path = self.absolute("." * statement.level + (statement.module or ""))
            self._files.require(path, f"{field}, line {statement.lineno}")
        elif isinstance(statement, ast.Import):
            for alias in statement.names:
                self._files.require(alias.name, f"{field}, line {statement.lineno}")

    def _keep_literal(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:
                if isinstance(target, ast.Name):
                    self.literals[target.id] = statement.value


class ProgramFiles:
    """The job's own Python files, each read at most once and only where a source imports it."""

    def __init__(self, files: Mapping[str, str], field: str) -> None:
        self._files = files
        self._field = field
        self._modules = {_dotted(path): path for path in files if path.endswith(".py")}
        self._folders = {parent for path in files for parent in _parents(path)}
        self._heads = {name.partition(".")[0] for name in self._modules}
        self._read: dict[str, ProgramNames | None] = {}
        self._tokens_left = MAX_SOURCE_TOKENS
        self._depth = 0

    def follow(self, path: str) -> Meaning:
        """The class that a dotted path leads to, the path itself where it is none of ours, None where it is unknown."""
        if path.partition(".")[0] not in self._heads:
            return path
        module, rest = self._split(path)
        if not rest:
            return path
        try:
            names = self._names(module) if module else None
        except UnusableRequest:
            return None  # an import that may never run
        return names.meaning(rest) if names and "." not in rest else None

    def require(self, path: str, importer: str) -> None:
        """Raises `UnusableRequest` if the import of that module can only fail. A folder without __init__.py may be part
        of a package that is installed."""
        if path.partition(".")[0] not in self._modules:
            return
        if path not in self._modules and path not in self._folders:
            raise UnusableRequest(f"{importer} imports '{path[:80]}', which is none of {self._field}: send it along.")
        self._names(path)

    def _split(self, path: str) -> tuple[str, str]:
        """The longest beginning that is one of the files, and what follows it."""
        parts = path.split(".")
        for length in range(len(parts), 0, -1):
            beginning = ".".join(parts[:length])
            if beginning in self._modules:
                return beginning, ".".join(parts[length:])
        return "", path

    def _names(self, module: str) -> ProgramNames | None:
        """None for a file that is being read already, lies too deep, or would cost too much."""
        if module not in self._read and module in self._modules and self._depth < MOST_DEEP:
            self._read[module] = None
            path = self._modules[module]
            if (cost := tokens(self._files[path])) <= self._tokens_left:
                self._tokens_left -= cost
                self._read[module] = self._reading(module, path)
        return self._read.get(module)

    def _reading(self, module: str, path: str) -> ProgramNames:
        field = f"{self._field}['{path[:80]}']"
        package = module if path.endswith("__init__.py") else module.rpartition(".")[0]
        names = ProgramNames(self, package)
        self._depth += 1
        try:
            names.read(parse(self._files[path], field), field)
        finally:
            self._depth -= 1
        return names


def _dotted(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _parents(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]


def _is_main_guard(statement: ast.stmt) -> bool:
    """`if __name__ == "__main__":`, which does not run where the program is imported."""
    if not (isinstance(statement, ast.If) and isinstance(statement.test, ast.Compare)):
        return False
    sides = [statement.test.left, *statement.test.comparators]
    return any(isinstance(side, ast.Constant) and side.value == _MAIN for side in sides)
