"""Source text of a signature class or a metric function, with what it needs of the module that it stands in.

A payload carries source, not objects. `inspect.getsource` alone would leave out the imports, so the module's own
top-level statements that the object refers to (imports, constants, helpers) come along, in their order.
"""

import ast
import builtins
import inspect
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dspy_service.errors import UnusableSource

_BUILTIN = frozenset(dir(builtins))


def source_of(thing: Any) -> str:
    """`thing`: source text, the path of a file of it, or a class or function."""
    if isinstance(thing, Path):
        return thing.read_text(encoding="utf-8")
    return textwrap.dedent(thing).strip() + "\n" if isinstance(thing, str) else _with_needs(thing)


def _with_needs(thing: Any) -> str:
    name = getattr(thing, "__name__", repr(thing))
    try:
        own = textwrap.dedent(inspect.getsource(thing))
    except (OSError, TypeError) as exc:
        raise UnusableSource(f"The source of {name} cannot be found; give its text or a file instead.") from exc
    if getattr(thing, "__closure__", None) or name == "<lambda>":
        raise UnusableSource(f"{name} must be a plain top-level function: it uses variables around it.")
    module = _module_source(thing)
    return "".join(f"{statement}\n" for statement in [*_needed(module, own, name), own.strip()])


def _module_source(thing: Any) -> str:
    module = inspect.getmodule(thing)
    try:
        return inspect.getsource(module) if module else ""
    except (OSError, TypeError):
        # A notebook's or prompt's cells: `dspy` is there without an import, all else must be in the source.
        return ""


def _needed(module: str, own: str, name: str) -> list[str]:
    tree = ast.parse(module)
    binding = {bound: statement for statement in tree.body for bound in _bound(statement)}
    wanted, found = _names(ast.parse(own)) - {name}, set[ast.stmt]()
    while wanted:
        statements = {binding[n] for n in wanted if n in binding and n not in _BUILTIN} - found
        found |= statements
        wanted = set().union(*(_names(statement) for statement in statements)) - {name}
    future = {s for s in tree.body if isinstance(s, ast.ImportFrom) and s.module == "__future__"}
    return [ast.get_source_segment(module, statement) or "" for statement in tree.body if statement in found | future]


def _bound(statement: ast.stmt) -> Iterable[str]:
    match statement:
        case ast.Import(names) | ast.ImportFrom(names=names):
            return [alias.asname or alias.name.partition(".")[0] for alias in names]
        case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name):
            return [name]
        case ast.Assign(targets):
            return [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id)):
            return [id]
    return []


def _names(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
