"""How deeply JSON may be nested, and how to read JSON of any depth.

A Kubernetes API server stores objects that are 10,000 levels deep. Python's own parser fails at about 1,000 levels,
orjson at 1,024, and orjson writes no more than 254. One such resource must not break a list or a watch that others are
in. So what is too deep is cut, in one pass over the bytes, to a depth that everything here can read, write and copy.
That depth is still more than is allowed, so the checks of a job refuse the value, and no other mark is needed.
"""

import re
from collections.abc import Iterator
from typing import Any

import orjson

MAX_DEPTH = 64
"""Levels that a body of the HTTP API may have. DSPy's settings and rows have a handful, JSON schemas at most two
dozen."""
SPEC_DEPTH = MAX_DEPTH + 1
"""Levels that a resource's spec may have; it holds the parts of a body one level deeper."""
CUT_DEPTH = 200
"""More than is allowed anywhere, and less than orjson can write (254) and than recursion in Python can handle."""

_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)
"""A string without an end reaches to the end of the data; searching each time for an end would take quadratic time."""
_OPENING, _CLOSING = b"[{", b"]}"


def loads(data: bytes) -> Any:
    """Like `orjson.loads`, but what is nested too deeply for orjson becomes null."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return orjson.loads(cut(data))
    return value if _writable(value, data) else orjson.loads(cut(data))


def bounded(data: bytes) -> bytes:
    """The same JSON, cut to `CUT_DEPTH` where it is too deep, for readers that are not ours."""
    try:
        return data if not may_be_deep(data) or _writable(orjson.loads(data), data) else cut(data)
    except orjson.JSONDecodeError:
        return cut(data)


def cut(data: bytes, most: int = CUT_DEPTH) -> bytes:
    """Replaces each array and object below `most` levels by null. Invalid JSON stays invalid."""
    return b"".join(_kept(data, most))


def may_be_deep(data: bytes) -> bool:
    """A fast test that is False for nearly everything."""
    return data.count(b"[") + data.count(b"{") > CUT_DEPTH


def deeper_than(value: Any, most: int) -> bool:
    """Goes level by level, because deep values would break recursion."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(most):
        if not level:
            return False
        level = [item for box in level for item in _items(box) if isinstance(item, dict | list)]
    return bool(level)


def deep_path(value: Any, most: int, path: str) -> str:
    """The path to a value that is nested deeper than `most` levels; empty if there is none.

    It names the first four levels at most, which is enough to find the field: a whole path would be as long as the
    value is deep.
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
    """Faster than looking at each level: for what orjson has just read, only its depth can make writing fail."""
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
