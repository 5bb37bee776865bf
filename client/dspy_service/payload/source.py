"""Source text of a signature class and a metric function, with what they need of the module that they stand in.

A payload carries source, not objects. Whatever a name of a module's top level stands for can be sent, as the statements
that make it: a function with its helpers, a decorated one, a partial, a signature made by a call.
"""

import ast
import functools
import inspect
import sys
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType
from typing import Any

from dspy_service.errors import UnusableSource
from dspy_service.payload.module_text import Statement, read_module
from dspy_service.payload.rename import renamed

_METRIC = "metric"
"""The service takes the function of this name."""
_SIGNATURE_MODULE = "user_signature"
"""The signature's code, for a metric's code to import from: docs/metrics.md."""
_OTHERWISE = "give its text or a file."
_TOGETHER = f"put it into the same file, or {_OTHERWISE}"


@dataclass(frozen=True)
class Source:
    """`name` is what the thing is called there."""

    name: str
    statements: tuple[Statement, ...]

    @property
    def text(self) -> str:
        return "".join(f"{statement.text}\n" for statement in self.statements)


def sources_of(signature: Any, metric: Any) -> tuple[str, str]:
    """Text, files and objects; of an object that is in both, the metric gets the signature's own: a class that is
    defined twice is two classes, and no value of the one is equal to one of the other.
    """
    first = None if _is_text(signature) else _source(signature)
    second = None if _is_text(metric) else _source(metric, importable=True)
    return (
        first.text if first else text_of(signature),
        _metric_text(second, first) if second else text_of(metric),
    )


def text_of(thing: str | Path) -> str:
    if isinstance(thing, Path):
        return thing.read_text(encoding="utf-8")
    return textwrap.dedent(thing).strip() + "\n"


def _is_text(thing: Any) -> bool:
    return isinstance(thing, str | Path)


def _metric_text(metric: Source, signature: Source | None) -> str:
    shared = [s for s in metric.statements if signature and s in signature.statements and not s.is_import]
    own = [s for s in metric.statements if s not in shared]
    used = {name for statement in own for name in statement.uses}
    borrowed = sorted({name for statement in shared for name in statement.binds} & used)
    lines = [f"from {_SIGNATURE_MODULE} import {', '.join(borrowed)}"] if borrowed else []
    place = next((n for n, s in enumerate(own) if not s.is_import), len(own))
    texts = [s.text for s in own[:place]] + lines + [s.text for s in own[place:]]
    if metric.name != _METRIC:
        texts = [*renamed(texts, _METRIC), f"{_METRIC} = {metric.name}"]
    return "".join(f"{text}\n" for text in texts)


def _source(thing: Any, importable: bool = False) -> Source:
    if not callable(thing):
        raise UnusableSource(f"{thing!r} is no function, no class, no text and no Path.")
    for module in _homes(thing):
        name = _name_in(module, thing)
        text, latest = _module_text(module) if name else ("", False)
        if name and importable and _is_installed(module):
            return Source(
                name, (Statement(f"from {module.__name__} import {name}", frozenset({name}), is_import=True),)
            )
        if name and text and (read := _read(text, latest=latest)).makes(name):
            return Source(name, tuple(_sendable(name, read.needed(name))))
    return _source_alone(thing)


def _homes(thing: Any) -> Iterator[ModuleType]:
    """Where it may have its name: a partial or an instance is of its class's module, and named in another."""
    own = sys.modules.get(getattr(thing, "__module__", None) or "")
    yield from [own] if own else []
    for module in list(sys.modules.values()):
        if isinstance(module, ModuleType) and module is not own and not _is_installed(module):
            yield module


def _name_in(module: ModuleType, thing: Any) -> str | None:
    names = [name for name, value in vars(module).items() if value is thing]
    own = getattr(thing, "__name__", None)
    return own if own in names else next(iter(names), None)


def _module_text(module: ModuleType) -> tuple[str, bool]:
    """And whether parts of it were written over, as the cells of a notebook are, which IPython remembers."""
    cells = vars(module).get("In")
    if isinstance(cells, list) and "get_ipython" in vars(module):
        return "\n".join(cell for cell in cells if _parses(cell)), True
    try:
        return inspect.getsource(module), False
    except (OSError, TypeError):
        return "", False


def _parses(cell: str) -> bool:
    try:
        return bool(ast.parse(cell).body)
    except (SyntaxError, ValueError):
        return False


_read = functools.lru_cache(maxsize=2)(read_module)
"""Signature and metric have most often the same home: its statements are then the same objects."""


def _sendable(name: str, statements: Iterable[Statement]) -> Iterator[Statement]:
    for statement in statements:
        for module in statement.modules:
            if module.startswith("."):
                raise UnusableSource(f"{name} needs `{statement.text}`, which a job cannot import: {_TOGETHER}")
            if file := _own_file(module):
                raise UnusableSource(f"{name} needs {module} ({file}), which a job does not have: {_TOGETHER}")
        yield statement


def _own_file(module: str) -> str:
    """The file of a module that no package brings, so one of the user's own."""
    top = module.partition(".")[0]
    found = sys.modules.get(top)
    if found is None or _is_installed(found) or top in packages_distributions():
        return ""
    return Path(getattr(found, "__file__", None) or module).name


def _is_installed(module: ModuleType) -> bool:
    if module.__name__.partition(".")[0] in sys.stdlib_module_names:
        return True
    parts = Path(getattr(module, "__file__", None) or "").parts
    return "site-packages" in parts or "dist-packages" in parts


def _source_alone(thing: Any) -> Source:
    """At a prompt whose lines Python remembers: `dspy` is there without an import, all else must be in the source."""
    name = getattr(thing, "__qualname__", None) or repr(thing)
    if getattr(thing, "__name__", None) != name or not any(_name_in(m, thing) == name for m in _homes(thing)):
        raise UnusableSource(f"{name} has no name at the top level of its module: define it there, or {_OTHERWISE}")
    try:
        (statement,) = read_module(textwrap.dedent(inspect.getsource(thing))).statements
    except (OSError, TypeError, ValueError, SyntaxError) as exc:
        raise UnusableSource(f"The source of {name} cannot be found: define it in a file, or {_OTHERWISE}") from exc
    if lacking := sorted(statement.uses - {name, "dspy"}):
        raise UnusableSource(f"{name} uses {', '.join(lacking)}, whose source cannot be found: {_OTHERWISE}")
    return Source(name, (statement,))
