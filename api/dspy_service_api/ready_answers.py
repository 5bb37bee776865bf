"""Ready answers about finished jobs: they never change, and assembling one reads about ten small files.

They lie in two temporary files without a name, which the system's page cache keeps in memory as long as there is
room: reading one back takes about as long as copying it, and the process itself stays small however many there are.
When the younger file is full the older one is dropped: what was not asked for since is assembled again one day.
"""

import logging
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO

log = logging.getLogger(__name__)

Key = tuple[str, str, str]
"""Which answer, the job's uid, the resource's version."""


@dataclass(slots=True)
class Generation:
    file: IO[bytes]
    size: int = 0
    places: dict[Key, tuple[int, int]] = field(default_factory=dict)

    def get(self, key: Key) -> bytes | None:
        place = self.places.get(key)
        if place is None:
            return None
        offset, size = place
        answer = os.pread(self.file.fileno(), size, offset)
        return answer if len(answer) == size else None

    def put(self, key: Key, answer: bytes) -> None:
        if os.pwrite(self.file.fileno(), answer, self.size) == len(answer):
            self.places[key] = (self.size, len(answer))
            self.size += len(answer)


class ReadyAnswers:
    """Bounded in bytes of both files together; 0 keeps nothing."""

    def __init__(self, limit: int, open_file: Callable[[], IO[bytes]] = tempfile.TemporaryFile) -> None:
        self._each = limit // 2
        self._open_file = open_file
        self._young = Generation(open_file())
        self._old = Generation(open_file())

    @property
    def size(self) -> int:
        return self._young.size + self._old.size

    def __contains__(self, key: Key) -> bool:
        return key in self._young.places or key in self._old.places

    def get(self, key: Key) -> bytes | None:
        try:
            if (answer := self._young.get(key)) is not None:
                return answer
            if (answer := self._old.get(key)) is not None:
                self.put(key, answer)
            return answer
        except OSError as exc:
            log.warning("a ready answer cannot be read: %s", exc.strerror)
            return None

    def put(self, key: Key, answer: bytes) -> None:
        """A full disk costs time at the next request, and nothing else."""
        if len(answer) > self._each:
            return
        try:
            if self._young.size + len(answer) > self._each:
                self._turn()
            self._young.put(key, answer)
        except OSError as exc:
            log.warning("an answer cannot be kept ready: %s", exc.strerror)

    def close(self) -> None:
        self._young.file.close()
        self._old.file.close()

    def _turn(self) -> None:
        self._old.file.close()
        self._old, self._young = self._young, Generation(self._open_file())
