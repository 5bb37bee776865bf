"""A JSON file of any size, read within the reporter's memory: small ones at once, large ones value by value.

A submit may carry 30 MB of rows and a dataset behind a URI many times that; parsed as a whole they would take several
times as much again, and the reporter has 40 MB.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

LARGE = 4 * 1024 * 1024


class NotJson(ValueError):
    """The file is not JSON; the message says where."""


class JsonFile:
    def __init__(self, path: Path, large: int = LARGE) -> None:
        self._path = path
        self._whole = path.stat().st_size <= large
        self._content = self._load() if self._whole else None

    def member(self, name: str) -> Any:
        """A member of the object that the file is; None where there is none."""
        if not self._whole:
            return next(self._scan(name), None)
        return self._content.get(name) if isinstance(self._content, dict) else None

    def items(self, name: str = "") -> Iterator[Any]:
        """Elements of the array that the file is, or that its member of that name is.

        A small file without such an array is `NotJson`; a large one has no elements then.
        """
        if not self._whole:
            yield from self._scan(f"{name}.item" if name else "item")
            return
        found = self.member(name) if name else self._content
        if not isinstance(found, list):
            raise NotJson("there is no array where the rows should be")
        yield from found

    def _load(self) -> Any:
        try:
            return orjson.loads(self._path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
        except orjson.JSONDecodeError as error:
            raise NotJson(str(error)) from None

    def _scan(self, prefix: str) -> Iterator[Any]:
        import ijson  # type: ignore[import-untyped]  # untyped; not at the top: 4 MB and 14 ms that few jobs need

        with self._path.open("rb") as file:
            if file.read(3) != b"\xef\xbb\xbf":
                file.seek(0)
            try:
                yield from ijson.items(file, prefix, use_float=True)
            except ijson.JSONError as error:
                raise NotJson(" ".join(str(error).split())) from None
