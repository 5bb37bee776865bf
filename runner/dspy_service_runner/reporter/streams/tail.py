"""Follows a file that the optimizer appends to, line by line, by offset alone: nothing is remembered but a number.

The offset moves only past whole lines, so a reader that begins anew at a stored offset misses nothing and doubles
nothing. What no honest writer does costs that file alone:
- it shrank or was replaced: reading begins at its start again, and the caller is told;
- a line longer than `MAX_LINE`: passed over, and the caller is told its length;
- no end of line within `MAX_SCAN` (sparse files can be huge), or replaced too often: the file is given up.
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
    """`content` without its newline; None for one that was too long. `to`: the offset behind it."""

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
        """From the offset on: a chunk, or more of it as long as it holds no whole line."""
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
