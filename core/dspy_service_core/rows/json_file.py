"""Reads JSON of any size within the reporter's memory: small documents at once, large ones value by value.

A submit may have 30 MB of rows, and a dataset behind a URI many times that. Parsed as a whole they would take several
times as much memory, and the reporter has 40 MB.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from dspy_service_core import json_text, nesting

LARGE = 4 * 1024 * 1024
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class NotJson(ValueError):
    """The document is not JSON; the message says where."""


class TooDeep(NotJson):
    """The document is nested more deeply than any of our parsers can read."""


class JsonFile:
    """A file, or the content of one that is in memory already."""

    def __init__(self, source: Path | bytes, large: int = LARGE) -> None:
        self._large = source if isinstance(source, Path) and source.stat().st_size > large else None
        self._content = None if self._large else loads(source if isinstance(source, bytes) else source.read_bytes())

    def member(self, name: str) -> Any:
        """The member of that name, if the file is an object that has one; else None."""
        if self._large:
            return next(_scan(self._large, name), None)
        return self._content.get(name) if isinstance(self._content, dict) else None

    def pairs(self, name: str) -> Iterator[tuple[str, Any]]:
        """Names and values of the object that is the member of that name; none where there is no such object."""
        if self._large:
            yield from _scan(self._large, name, pairs=True)
        elif isinstance(found := self.member(name), dict):
            yield from found.items()

    def items(self, name: str = "") -> Iterator[Any]:
        """Elements of the array in the file, or of the array that is its member of that name.

        Without such an array, a small file raises `NotJson`, and a large one yields nothing.
        """
        if self._large:
            yield from _scan(self._large, f"{name}.item" if name else "item")
            return
        found = self.member(name) if name else self._content
        if not isinstance(found, list):
            raise NotJson("there is no array where the rows should be")
        yield from found


def loads(content: bytes) -> Any:
    try:
        return orjson.loads(content.removeprefix(_BYTE_ORDER_MARK))
    except orjson.JSONDecodeError as error:
        if nesting.may_be_deep(content) and nesting.cut(content) != content:
            raise TooDeep("it is nested too deeply") from None
        found = json_text.not_a_number(error)
        raise NotJson(f"{found.written} at '{found.path}': {found.cure}" if found else str(error)) from None


def _scan(path: Path, prefix: str, *, pairs: bool = False) -> Iterator[Any]:
    import ijson  # type: ignore[import-untyped]  # untyped; not at the top: 4 MB and 14 ms that few jobs need

    with path.open("rb") as file:
        if file.read(len(_BYTE_ORDER_MARK)) != _BYTE_ORDER_MARK:
            file.seek(0)
        try:
            yield from (ijson.kvitems if pairs else ijson.items)(file, prefix, use_float=True)
        except ijson.JSONError as error:
            raise NotJson(" ".join(str(error).split())) from None
