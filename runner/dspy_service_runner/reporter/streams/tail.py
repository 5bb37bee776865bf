"""Follows a file that the optimizer appends to, line by line. The only thing that it has to remember is an offset.

The offset moves past whole lines only, so a reader that begins at a stored offset neither misses nor repeats a line. A
file that was not written as agreed harms no other file:
- if it shrank or was replaced, it is read from its start again, and the caller is told;
- a line longer than `MAX_LINE` is skipped, and the caller is told its length;
- if a line does not end within `MAX_SCAN` (sparse files can be huge), or the file is replaced too often, it is no
  longer read.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from dspy_service_runner.reporter.streams.out_folder import OutFolder, Seen

CHUNK = 256 * 1024
MAX_LINE = 1024 * 1024
MAX_SCAN = 64 * 1024 * 1024
MAX_REPLACEMENTS = 16


@dataclass(frozen=True, slots=True)
class Line:
    """`content` has no newline, and is None for a line that was too long. `to` is the offset behind the newline."""

    content: bytes | None
    length: int
    to: int

    @property
    def begin(self) -> int:
        return self.to - self.length - 1


@dataclass(slots=True)
class Tail:
    folder: OutFolder
    name: str
    offset: int = 0
    replacements: int = 0
    given_up: bool = False
    _scanned: int = field(init=False, default=0)
    _last: Seen | None = field(init=False, default=None)

    def read(self) -> list[Line]:
        """At most about `MAX_LINE` bytes of whole lines; empty when nothing is new."""
        if self.given_up or self.folder.look(self.name) in (None, self._last):
            return []
        with self.folder.opened(self.name) as file:
            if file is None:
                return []
            descriptor, seen = file
            self._notice(seen)
            before = self.offset
            try:
                lines = list(self._lines(descriptor, seen.size))
            except OSError:
                return []
            if self.offset == before:
                self._last = seen
            return lines

    def _notice(self, seen: Seen) -> None:
        if (self._last and not seen.same_file(self._last)) or seen.size < self.offset:
            self.offset = self._scanned = 0
            self.replacements += 1
            self.given_up = self.replacements > MAX_REPLACEMENTS
        self._last = Seen(seen.device, seen.inode, -1, 0)

    def _lines(self, descriptor: int, size: int) -> Iterator[Line]:
        if self._scanned < self.offset + MAX_LINE:
            data = self._block(descriptor, size)
            end = data.rfind(b"\n")
            if end >= 0:
                yield from self._split(data[:end])
                return
            if len(data) < MAX_LINE:
                return
            self._scanned = self.offset + len(data)
        yield from self._pass_over(descriptor)

    def _block(self, descriptor: int, size: int) -> bytes:
        """Reads chunks from the offset on, until one has an end of line."""
        data = b""
        while len(data) < MAX_LINE and self.offset + len(data) < size:
            more = os.pread(descriptor, CHUNK, self.offset + len(data))
            data += more
            if not more or b"\n" in more:
                break
        return data

    def _split(self, data: bytes) -> Iterator[Line]:
        for content in data.split(b"\n"):
            self.offset += len(content) + 1
            if len(content) > MAX_LINE:
                yield Line(None, len(content), self.offset)
            elif content:
                yield Line(content, len(content), self.offset)

    def _pass_over(self, descriptor: int) -> Iterator[Line]:
        """Looks for the end of a line that is too long, from where the last look ended."""
        while more := os.pread(descriptor, CHUNK, self._scanned):
            found = more.find(b"\n")
            if found >= 0:
                length = self._scanned + found - self.offset
                self.offset = self._scanned = self._scanned + found + 1
                yield Line(None, length, self.offset)
                return
            self._scanned += len(more)
            if self._scanned - self.offset > MAX_SCAN:
                self.given_up = True
                return
