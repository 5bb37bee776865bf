"""What the values of a module's names tell about the statements that bind them.

A statement runs again in the job. Where its value is a file, a connection or another thing of this process, the job
would have none of it, or another: refused here, with the cure. A model is not made by its statement at all, whose text
may hold its key: the job's own is taken, by its name.
"""

import io
import socket
import sqlite3
import subprocess
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

from dspy_service.errors import UnusableSource
from dspy_service.payload.models import is_model

_CURES: tuple[tuple[Callable[[Any], bool], str, str], ...] = (
    (
        lambda value: isinstance(value, io.IOBase) and not isinstance(value, io.StringIO | io.BytesIO),
        "an open file",
        "read its content where it is used, and give the file in files=[...]",
    ),
    (lambda value: isinstance(value, socket.socket), "a socket", "open it where it is used"),
    (
        lambda value: isinstance(value, sqlite3.Connection | sqlite3.Cursor) or _is_database(value),
        "a connection to a database",
        "connect where it is used, or send what is needed of it as rows or files",
    ),
    (lambda value: isinstance(value, subprocess.Popen), "a running process", "start it where it is used"),
    (lambda value: isinstance(value, threading.Thread), "a thread", "start it where it is used"),
    (
        lambda value: isinstance(value, types.GeneratorType | types.AsyncGeneratorType | types.CoroutineType),
        "a generator or coroutine, which this process is in the middle of",
        "make a list of it, or call it where it is used",
    ),
)
_LARGEST = 64 * 1024


def _is_database(value: Any) -> bool:
    """As Python's database interface has it."""
    return not isinstance(value, type) and all(
        callable(getattr(type(value), name, None)) for name in ("cursor", "commit")
    )


def refuse_unsendable(name: str, value: Any, user: str) -> None:
    parts = value if isinstance(value, list | tuple | set) else value.values() if isinstance(value, dict) else ()
    for part in [value, *parts]:
        for is_one, what, cure in _CURES:
            if is_one(part):
                raise UnusableSource(f"{name}, which {user} uses, is {what} and stays on this machine: {cure}.")


def literal(value: Any) -> str | None:
    """The text of a constant that no statement binds."""
    if not _is_plain(value):
        return None
    text = repr(value)
    return text if len(text) <= _LARGEST else None


def _is_plain(value: Any, depth: int = 0) -> bool:
    if value is None or type(value) in (str, int, bool, bytes):
        return True
    if type(value) is float:
        return value == value and abs(value) != float("inf")
    if depth > 16 or type(value) not in (list, tuple, set, dict):
        return False
    parts = [*value, *value.values()] if isinstance(value, dict) else value
    return all(_is_plain(part, depth + 1) for part in parts) and bool(parts or type(value) is not set)


def models_in(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The models that a name stands for: one, or the values of a dict (whose keys are then their names)."""
    if is_model(value):
        yield name, value
    elif isinstance(value, dict) and value and all(is_model(item) for item in value.values()):
        yield from ((str(key) if name == "models" else f"{name}_{key}", item) for key, item in value.items())
