"""Gives a module's helper another name, because the name is wanted for what the service looks for."""

import ast
import re
import symtable
from collections.abc import Iterator, Sequence

from dspy_service.errors import UnusableSource

_DEFINED = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Edit = tuple[int, int, int, str]
"""Line, first and last byte in it, and what stands there instead."""


def renamed(texts: Sequence[str], name: str) -> list[str]:
    """The statements with `_name` wherever their module's `name` is meant."""
    if not any(_mentions(text, name) for text in texts):
        return list(texts)
    other = f"_{name}"
    while any(re.search(rf"\b{other}\b", text) for text in texts):
        other = f"_{other}"
    return [_edited(text, sorted(_edits(text, name, other), reverse=True)) for text in texts]


def _mentions(text: str, name: str) -> bool:
    return any(True for _ in _edits(text, name, name))


def _edits(text: str, name: str, other: str) -> Iterator[Edit]:
    lines = [line.encode() for line in text.splitlines()]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Name) and node.id == name:
            place = lines[node.lineno - 1][node.col_offset : node.col_offset + len(name)]
            if place != name.encode():  # in an f-string, whose parts have no places before Python 3.12
                raise _unclear(name)
            yield node.lineno, node.col_offset, node.col_offset + len(name), other
        elif isinstance(node, ast.alias) and name in (node.asname, node.name if not node.asname else None):
            assert node.end_col_offset is not None
            yield node.lineno, node.col_offset, node.end_col_offset, f"{node.name} as {other}"
        elif isinstance(node, _DEFINED) and node.name == name:
            word = re.compile(rf"(?:def|class)\s+({name})\b".encode()).search(lines[node.lineno - 1])
            if word:
                yield node.lineno, word.start(1), word.end(1), other
    if _shadowed(text, name):
        raise _unclear(name)


def _unclear(name: str) -> UnusableSource:
    return UnusableSource(f"The metric uses a helper that is named '{name}' as well: give the helper another name.")


def _shadowed(text: str, name: str) -> bool:
    waiting = list(symtable.symtable(text, "<source>", "exec").get_children())
    while waiting:
        table = waiting.pop()
        if any(symbol.get_name() == name and not symbol.is_global() for symbol in table.get_symbols()):
            return True
        waiting.extend(table.get_children())
    return any(_is_target(node, name) for node in ast.walk(ast.parse(text)))


def _is_target(node: ast.AST, name: str) -> bool:
    """Of a comprehension, which is no scope of its own for `symtable` since Python 3.12."""
    targets = ast.walk(node.target) if isinstance(node, ast.comprehension) else ()
    return any(isinstance(target, ast.Name) and target.id == name for target in targets)


def _edited(text: str, edits: Sequence[Edit]) -> str:
    lines = [line.encode() for line in text.splitlines(keepends=True)]
    for number, start, end, word in edits:
        line = lines[number - 1]
        lines[number - 1] = line[:start] + word.encode() + line[end:]
    return b"".join(lines).decode()
