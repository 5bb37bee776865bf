"""How deeply JSON may be nested, and readers that no depth ends.

A Kubernetes API server stores what is 10,000 levels deep. Python's own parser gives up at about 1,000, orjson at
1,024, and orjson writes no more than 254: one such resource must not end a list or a watch that others are in. What
is too deep is cut, in one pass over the bytes, to a depth that everything here can read, write and copy, and that is
still deeper than is allowed: who looks at the value itself sees that it is refused, and needs no further mark.
"""

import re
from collections.abc import Iterator
from typing import Any

import orjson

MAX_DEPTH = 64
"""Levels of a body of the HTTP API: DSPy's settings and rows have a handful, JSON schemas among them a dozen or two."""
SPEC_DEPTH = MAX_DEPTH + 1
"""Levels of a resource's spec, which holds what comes in a body one level deeper."""
CUT_DEPTH = 200
"""Above every depth that is allowed, within what orjson writes (254) and what recursion in Python bears."""

_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)
"""A string that nothing ends goes to the end: to look for the end of each would take the square of the length."""
_OPENING, _CLOSING = b"[{", b"]}"


def loads(data: bytes) -> Any:
    """What orjson reads, and can write again; what is nested too deeply is null."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return orjson.loads(cut(data))
    return value if _writable(value, data) else orjson.loads(cut(data))


def bounded(data: bytes) -> bytes:
    """The same JSON for readers that are not ours."""
    try:
        return data if not may_be_deep(data) or _writable(orjson.loads(data), data) else cut(data)
    except orjson.JSONDecodeError:
        return cut(data)


def cut(data: bytes, most: int = CUT_DEPTH) -> bytes:
    """With null for each array and object below `most` levels. What is no JSON stays none."""
    return b"".join(_kept(data, most))


def may_be_deep(data: bytes) -> bool:
    """Nearly nothing is, and this is fast to tell."""
    return data.count(b"[") + data.count(b"{") > CUT_DEPTH


def deeper_than(value: Any, most: int) -> bool:
    """Level by level, because recursion is what deep values break."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(most):
        if not level:
            return False
        level = [item for box in level for item in _items(box) if isinstance(item, dict | list)]
    return bool(level)


def deep_path(value: Any, most: int, path: str) -> str:
    """Where in an object that is deeper than `most` levels its depth lies: the first four names; empty when it is not.

    The field is what its author has to look for; a path of all names would be as long as the value is deep.
    """
    if not deeper_than(value, most):
        return ""
    for level in range(1, 5):
        found = [(name, item) for name, item in _named(value) if deeper_than(item, most - level)]
        if not found:
            break
        name, value = found[0]
        path += f"[{name}]" if isinstance(name, int) else f".{name}"
    return re.sub(r"(\[\d+\])+$", "", path)


def _kept(data: bytes, most: int) -> Iterator[bytes]:
    depth, start = 0, 0
    for token in _TOKEN.finditer(data):
        first = data[token.start()]
        if first in _OPENING:
            if depth == most:
                yield data[start : token.start()] + b"null"
            depth += 1
        elif first in _CLOSING:
            depth -= 1
            if depth == most:
                start = token.end()
    if depth <= most:
        yield data[start:]


def _writable(value: Any, data: bytes) -> bool:
    """Faster than a look at each level: what was just read fails to be written for its depth alone."""
    if not may_be_deep(data):
        return True
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        return False
    return True


def _items(box: Any) -> Any:
    return box.values() if isinstance(box, dict) else box


def _named(box: Any) -> Any:
    if isinstance(box, dict):
        return box.items()
    return enumerate(box) if isinstance(box, list) else ()
