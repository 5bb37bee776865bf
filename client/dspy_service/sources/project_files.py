"""The project's own modules that a source imports, transitively, as the files of a program.

Each keeps its own name, packages with their `__init__.py`. What is installed stays an import; what the runner lacks of
it is refused here, before anything is sent. Nothing is imported to find this out.
"""

import ast
import functools
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.machinery import PathFinder
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType

from dspy_service.errors import UnusableSource
from dspy_service.sources.homes import is_installed_file

_SERVICE = ("dspy", "dspy_service", "user_program", "user_signature")
"""What a job has in any case, however it is installed here."""
_MOST_FILES = 64
_MOST_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Import:
    module: str
    names: tuple[str, ...] = ()
    """Each may be a module in its turn."""
    optional: bool = False


@dataclass
class ProjectFiles:
    packages: Callable[[], Collection[str] | None] = lambda: None
    """Asks which distributions the runner has; None where that is not known."""
    adapt: Callable[[str, str], str] = lambda _module, text: text
    """What is sent of a module's text."""
    texts: dict[str, str] = field(default_factory=dict)
    """Path to text."""
    modules: dict[str, str] = field(default_factory=dict)
    """Name of each carried module to its path."""

    def add_imports(self, text: str, user: str, package: str = "") -> None:
        """`user`: what the text is of, for messages."""
        for found in imports_of(text, package):
            self._add(found.module, user, optional=found.optional)
            for name in found.names:
                if found.module in self.modules and f"{found.module}.{name}" not in self.modules:
                    self._add(f"{found.module}.{name}", user, optional=True)

    def _add(self, module: str, user: str, *, optional: bool) -> None:
        if module in self.modules or (file := _own_file(module)) is None:
            self._check_runner_has(module, user, optional=optional)
            return
        if file.suffix != ".py":
            raise UnusableSource(f"{user} needs {module} ({file.name}), which is compiled and cannot be sent.")
        parent, _, _ = module.rpartition(".")
        if parent:
            self._add(parent, user, optional=True)
        path = _path_in_project(module, file)
        text = self._text(module, file)
        self.modules[module], self.texts[path] = path, text
        self._check_size()
        self.add_imports(text, module, module if file.name == "__init__.py" else parent)

    def _text(self, module: str, file: Path) -> str:
        try:
            return self.adapt(module, file.read_text(encoding="utf-8")) or "\n"
        except (OSError, UnicodeDecodeError) as exc:
            raise UnusableSource(f"The source of {module} cannot be read as UTF-8 text: {exc}") from exc

    def _check_size(self) -> None:
        if len(self.texts) > _MOST_FILES or sum(map(len, self.texts.values())) > _MOST_BYTES:
            raise UnusableSource(
                f"The program imports more than {_MOST_FILES} files or 4 MB of its project, the last of them "
                f"{next(reversed(self.texts))}: import less, or build an image with the project (docs/programs.md)."
            )

    @functools.cached_property
    def _runner_has(self) -> Collection[str] | None:
        return self.packages()

    def _check_runner_has(self, module: str, user: str, *, optional: bool) -> None:
        top = module.partition(".")[0]
        if optional or top in sys.stdlib_module_names or top in _SERVICE:
            return
        distributions = packages_distributions().get(top, [])
        if not distributions or (known := self._runner_has) is None:
            return
        if not {_normal(name) for name in distributions} & {_normal(name) for name in known}:
            raise UnusableSource(
                f"{user} imports {module} of the package {distributions[0]}, which the service's runner does not have: "
                "do without it, or have an image built that has it (docs/programs.md)."
            )


def imports_of(text: str, package: str = "") -> Iterator[Import]:
    """Those in functions too, but not those for type checkers. Relative ones are told as absolute ones."""
    waiting: list[tuple[ast.AST, bool]] = [(ast.parse(text), False)]
    while waiting:
        node, optional = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, (), optional) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield Import(absolute(node, package), tuple(alias.name for alias in node.names), optional)
        elif isinstance(node, ast.If) and _is_type_checking(node.test):
            waiting.extend((child, optional) for child in node.orelse)
        else:
            may_fail = optional or isinstance(node, ast.Try)
            waiting.extend((child, may_fail) for child in ast.iter_child_nodes(node))


def absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    above = parts[: len(parts) - (node.level - 1)]
    return ".".join([*above, *([node.module] if node.module else [])])


def _is_type_checking(test: ast.expr) -> bool:
    return getattr(test, "id", getattr(test, "attr", "")) == "TYPE_CHECKING"


def _own_file(module: str) -> Path | None:
    """None for what is installed, built in, or not to be found."""
    top = module.partition(".")[0]
    if not module or top in sys.stdlib_module_names or top in _SERVICE or top.startswith("dspy_service_"):
        return None
    loaded = sys.modules.get(module)
    file = getattr(loaded, "__file__", None) if isinstance(loaded, ModuleType) else _found_file(module)
    return None if file is None or is_installed_file(file) else Path(file)


def _found_file(module: str) -> str | None:
    path: Iterable[str] | None = None
    parts = module.split(".")
    for n, _ in enumerate(parts, 1):
        name = ".".join(parts[:n])
        loaded = sys.modules.get(name)
        try:
            spec = getattr(loaded, "__spec__", None) or PathFinder.find_spec(name, None if path is None else list(path))
        except (ImportError, ValueError):
            return None
        if spec is None:
            return None
        path = spec.submodule_search_locations or []
    return spec.origin if spec and spec.has_location else None


def _path_in_project(module: str, file: Path) -> str:
    path = module.replace(".", "/")
    return f"{path}/__init__.py" if file.name == "__init__.py" else f"{path}.py"


def _normal(distribution: str) -> str:
    return distribution.lower().replace("_", "-").replace(".", "-")
