"""Reads a file of the optimizer for its upload: computes the digest, and stops as soon as a key is found in it."""

import hashlib
import os
from collections.abc import Iterator

from dspy_service_runner.redaction import Redactor

CHUNK = 1024 * 1024


class HoldsKey(Exception):
    """The file holds one of the job's model keys or secrets."""


class CheckedFile:
    """Reads at most `size` bytes, the size when the caller checked the file: what is appended later is left out."""

    def __init__(self, descriptor: int, size: int, redactor: Redactor) -> None:
        self._descriptor, self._size, self._redactor = descriptor, size, redactor
        self._digest = hashlib.sha256()
        self.count = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def content(self) -> bytes | Iterator[bytes]:
        """A small file in one piece, because a store takes that in one request and an iterator in several."""
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
        """An error counts as the end of the file."""
        try:
            return os.read(self._descriptor, size)
        except OSError:
            return b""
