"""A file of the optimizer's as it streams into the store: hashed on the way, stopped as soon as it shows a key."""

import hashlib
import os
from collections.abc import Iterator

from dspy_service_runner.redaction import Redactor

CHUNK = 1024 * 1024


class HoldsKey(Exception):
    """The file holds one of the job's model keys."""


class CheckedFile:
    """At most `size` bytes of it: what was appended since is not part of what was looked at."""

    def __init__(self, descriptor: int, size: int, redactor: Redactor) -> None:
        self._descriptor, self._size, self._redactor = descriptor, size, redactor
        self._digest = hashlib.sha256()
        self.count = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def content(self) -> bytes | Iterator[bytes]:
        """Whole where it is small: a store takes that in one request, pieces in several."""
        return b"".join(self._chunks()) if self._size <= CHUNK else self._chunks()

    def _chunks(self) -> Iterator[bytes]:
        before = b""
        while chunk := self._read(min(CHUNK, self._size - self.count)):
            if self._redactor.finds(before + chunk):
                raise HoldsKey
            before = chunk[-self._redactor.longest :] if self._redactor.longest else b""
            self._digest.update(chunk)
            self.count += len(chunk)
            yield chunk

    def _read(self, size: int) -> bytes:
        """A file that cannot be read further is as long as what was read."""
        try:
            return os.read(self._descriptor, size)
        except OSError:
            return b""
