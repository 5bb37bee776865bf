"""Gathers what several objects of a request need: statements of the modules that they are written in, the project's
other modules as files, and the models that their names stand for.

The module in which an object is written is not sent whole: it is often a script or a notebook, which does more than
define things. What it imports of the project is sent as it is.
"""

import ast
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

from dspy_service.errors import UnusableSource
from dspy_service.sources import live_values
from dspy_service.sources.homes import homes_of, is_installed, text_of
from dspy_service.sources.module_text import BUILTIN, ModuleText, Statement, read_module
from dspy_service.sources.project_files import ProjectFiles, absolute

OTHERWISE = "give its text or a file."
_ROLES = frozenset({"default", "reflection", "prompt", "task"})
_KEY = re.compile(
    r"""(?:api_?key|secret(?:_?key)?|(?:access|auth)_?token|credentials?)["']?\s*[:=]\s*["'](?=[^"']*\d)[^"'\s<>{}]{8,}["']"""
    r"""|password["']?\s*[:=]\s*["'][^"'\s<>{}]{6,}["']"""
    r"""|\b(?:sk-|ghp_|hf_|xox[bp]-)[A-Za-z0-9_-]{16,}""",
    re.IGNORECASE,
)
"""A key that is written out; `api_key="YOUR_API_KEY"` and `STOP_TOKEN = "<end>"` are none."""
_EVERYWHERE = frozenset({"HOME", "PATH", "TMPDIR", "LANG"})
"""Variables of the environment that a job has, too."""


@dataclass(frozen=True)
class Place:
    """Where a thing is written, and what it is called there."""

    module: ModuleType
    text: ModuleText
    name: str


@dataclass(frozen=True)
class Source:
    name: str
    statements: tuple[Statement, ...]

    @property
    def text(self) -> str:
        return "".join(f"{statement.text}\n" for statement in self.statements)


@dataclass
class Gathering:
    """`models`: the request's own, by name; what is found in the sources is added to them."""

    models: dict[str, Any] = field(default_factory=dict)
    packages: Callable[[], Collection[str] | None] = lambda: None
    secrets: Collection[str] = ()
    shared: frozenset[str] = frozenset()
    """Modules that are files of the program too: what is taken from them has its names imported from there."""

    def __post_init__(self) -> None:
        self.homes: set[str] = set()
        self.files = ProjectFiles(self.packages, self._adapted)
        self._made: dict[int, Statement] = {}

    def place_of(self, thing: Any) -> Place | None:
        """None for what is installed, or has no text."""
        for module, name in homes_of(thing):
            text = None if is_installed(module) else text_of(module)
            if text and text.makes(name):
                return Place(module, text, name)
        return None

    def source(self, *places: Place) -> Source:
        """The statements of all, each module's in its own order."""
        found: list[Statement] = []
        for module in dict.fromkeys(place.module for place in places):
            names = [place.name for place in places if place.module is module]
            found += self._needed(next(p.text for p in places if p.module is module), module, names)
        return Source(places[0].name, tuple(dict.fromkeys(found)))

    def _needed(self, text: ModuleText, module: ModuleType, names: Collection[str]) -> Iterator[Statement]:
        self.homes.add(module.__name__)
        user = next(iter(names))
        if module.__name__ in self.shared:
            yield from self._with_imports(text, module, names)
            return
        wanted = {statement: name for name in names for statement in text.needed(name)}
        yield from self._unbound(text, module, wanted, user)
        for statement in text.statements:
            if statement in wanted:
                if id(statement) not in self._made:
                    self._made[id(statement)] = self._sendable(statement, module, wanted[statement])
                yield from [self._made[id(statement)]] if self._made[id(statement)].text else []

    def _with_imports(self, text: ModuleText, module: ModuleType, names: Collection[str]) -> Iterator[Statement]:
        """Classes that are sent by their text; everything else of that module by an import of it."""
        own = [s for name in names for s in text.binding(name) if s.is_definition]
        used = {name for statement in own for name in statement.uses if text.binds(name)} | set(names)
        imported = sorted(used - {name for statement in own for name in statement.binds})
        self.files.add_imports(f"import {module.__name__}", module.__name__)
        yield from (s for s in text.statements if s.is_future)
        if imported:
            line = f"from {module.__name__} import {', '.join(imported)}"
            yield Statement(line, frozenset(imported), is_import=True)
        yield from own

    def _unbound(
        self, text: ModuleText, module: ModuleType, wanted: Mapping[Statement, str], user: str
    ) -> Iterator[Statement]:
        """What a name stands for that no statement binds: `%run`, or another module, put it there."""
        used = {name for statement in wanted for name in statement.uses}
        has_star = any(statement.is_star for statement in wanted)
        for name in sorted(used - BUILTIN):
            if text.binds(name) or name not in vars(module) or name in ("models", "dspy") or has_star:
                continue
            if (constant := live_values.literal(vars(module)[name])) is None:
                raise UnusableSource(f"{name}, which {user} uses, is bound by no statement of {module.__name__}.")
            yield Statement(f"{name} = {constant}", frozenset({name}))

    def _sendable(self, statement: Statement, module: ModuleType, user: str) -> Statement:
        if made := self._of_models(statement, module):
            return made
        for name in statement.binds if not statement.is_import else ():
            live_values.refuse_unsendable(name, vars(module).get(name), user)
        _refuse_keys(statement.text, ", ".join(sorted(statement.binds)) or user)
        self._refuse_environment(statement, user)
        package = _package(module)
        if statement.imports_relatively:
            statement = replace(statement, text=_absolute(statement.text, package))
        self.files.add_imports(statement.text, user, package)
        return statement

    def _adapted(self, name: str, text: str) -> str:
        """A file of the project as it is sent: whole, but for the models that it binds."""
        module = sys.modules.get(name)
        for statement in read_module(text).statements if module else ():
            made = self._of_models(statement, module) if module else None
            text = text.replace(statement.text, made.text, 1) if made else text
            for bound in statement.binds if not (statement.is_import or made) else ():
                live_values.refuse_unsendable(bound, vars(module).get(bound), name)
            self._refuse_environment(statement, name)
        _refuse_keys(text, name)
        return text

    def _of_models(self, statement: Statement, module: ModuleType) -> Statement | None:
        """`judge = dspy.LM(...)` as `judge = models["judge"]`; `models = {...}` itself is the job's."""
        if statement.is_import or statement.is_definition or len(statement.binds) != 1:
            return None
        (name,) = statement.binds
        value = vars(module).get(name)
        known = {id(model): self.known_model(said, model) for said, model in live_values.models_in(name, value)}
        if not known:
            return None
        if not isinstance(value, dict):
            return replace(statement, text=f'{name} = models["{known[id(value)]}"]')
        entries = ", ".join(f'{key!r}: models["{known[id(model)]}"]' for key, model in value.items())
        return replace(statement, text="" if name == "models" else f"{name} = {{{entries}}}")

    def known_model(self, said: str, model: Any) -> str:
        for name, given in self.models.items():
            if given is model:
                return name
        name = re.sub(r"[^a-z0-9_]", "_", said.lower()).lstrip("_0123456789")[:31] or "model"
        if name in self.models or name in _ROLES:
            name = f"{name[:28]}_{len(self.models)}"
        self.models[name] = model
        return name

    def _refuse_environment(self, statement: Statement, user: str) -> None:
        if not statement.is_definition:
            for name in _read_from_environment(statement.text):
                if name not in self.secrets and name not in _EVERYWHERE:
                    raise UnusableSource(
                        f"{user} needs the environment variable {name}, which a job does not have: "
                        f"give secrets={{{name!r}: ...}}, or read it by os.environ.get where it is used."
                    )


def _refuse_keys(text: str, where: str) -> None:
    if _KEY.search(text):
        raise UnusableSource(
            f"The source of {where} holds a key as text: give models as dspy.LM objects that are bound at the top "
            "level, or in models={...}, and other keys in secrets={...}."
        )


def _package(module: ModuleType) -> str:
    return getattr(module, "__package__", None) or module.__name__.rpartition(".")[0]


def _absolute(text: str, package: str) -> str:
    """An import that is relative to a package, as a program's own source must have it."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            if not package:
                raise UnusableSource(f"`{text}` is relative to no package: write it with the package's name.")
            node.module, node.level = absolute(node, package), 0
    return ast.unparse(tree)


def _read_from_environment(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Subscript(ast.Attribute(ast.Name("os"), "environ") | ast.Name("environ"), ast.Constant(str(name))):
                yield name
