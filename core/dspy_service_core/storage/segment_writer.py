"""Writes segments. Only the reporter does, which is the only writer of its streams.

`SegmentWriter` decides what has to be stored, without any I/O. `recover` makes a writer that continues where the last
segment in the store ends.
"""

from collections.abc import Iterable
from dataclasses import InitVar, dataclass, field

import orjson

from dspy_service_core.storage.segments import SEGMENT_BYTES, Segment, listed, parse, segment_key
from dspy_service_core.storage.store import Store


@dataclass(frozen=True, slots=True)
class Unsaved:
    """A segment whose newest content is not in the store yet."""

    key: str
    content: bytes
    following: int


@dataclass(slots=True)
class SegmentWriter:
    """Collects entries into segments. The caller stores the segments of `unsaved()` in their order, and calls `saved`
    after each.

    Each segment has one buffer. A list of entries would keep orjson's allocations alive: 4 KB of memory for an entry of
    300 bytes.
    """

    folder: str
    attempt: int
    first: int = 1
    to: int = 0
    lines: InitVar[Iterable[bytes]] = ()
    segment_bytes: int = SEGMENT_BYTES
    total_bytes: int = 0
    count: int = field(init=False, default=0)
    """Number of entries in the open segment."""
    _body: bytearray = field(init=False, default_factory=bytearray)
    _sealed: list[Unsaved] = field(init=False, default_factory=list)
    _saved_following: int = field(init=False)

    def __post_init__(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            self._add(line)
        self._saved_following = self.following

    @property
    def following(self) -> int:
        """Number of the next entry."""
        return self.first + self.count

    @property
    def stored(self) -> int:
        """How many entries of the stream are known to be in the store, counted from its beginning."""
        return self._saved_following - 1

    @property
    def dirty(self) -> bool:
        return self._saved_following != self.following

    @property
    def backlog(self) -> int:
        """Bytes that are not in the store yet; the caller should pause appending if they pile up."""
        return sum(len(sealed.content) for sealed in self._sealed) + (len(self._body) if self.dirty else 0)

    def append(self, entry: bytes, to: int) -> int:
        """Returns the entry's number. `to` is the offset in the attempt's source file after this entry."""
        if len(self._body) >= self.segment_bytes:
            self._seal()
        number = self.following
        self._add(entry)
        self.total_bytes += len(entry) + 1
        self.to = to
        return number

    def unsaved(self) -> list[Unsaved]:
        return [*self._sealed, self._open()] if self.dirty else []

    def saved(self, segment: Unsaved) -> None:
        self._sealed = [sealed for sealed in self._sealed if sealed.following > segment.following]
        self._saved_following = max(self._saved_following, segment.following)

    def _seal(self) -> None:
        if self._saved_following < self.following:
            self._sealed.append(self._open())
        self.first, self.count, self._body = self.following, 0, bytearray()

    def _add(self, entry: bytes) -> None:
        self._body += entry
        self._body += b"\n"
        self.count += 1

    def _open(self) -> Unsaved:
        header = {"first": self.first, "attempt": self.attempt, "to": self.to, "count": self.count}
        content = b"\n".join([orjson.dumps(header), self._body])
        return Unsaved(segment_key(self.folder, self.first), content, self.following)


def recover(store: Store, folder: str, attempt: int, segment_bytes: int = SEGMENT_BYTES) -> SegmentWriter:
    """A writer that continues after what is in the store: at the same offset for the same attempt, at 0 for a new one.

    If the last segment was cut (by a loss of power), one of the same attempt is dropped and written again from the
    source file, which still exists; of one of an earlier attempt, the complete entries are kept.
    """
    files = listed(store.files(folder))
    total = sum(size for _, size in files)
    last = _last_usable(store, folder, attempt, [first for first, _ in files])
    if last is None:
        return SegmentWriter(folder, attempt, segment_bytes=segment_bytes, total_bytes=total)
    if last.attempt != attempt:
        return SegmentWriter(folder, attempt, last.following, segment_bytes=segment_bytes, total_bytes=total)
    return SegmentWriter(folder, attempt, last.first, last.to, last.lines, segment_bytes, total)


def _last_usable(store: Store, folder: str, attempt: int, firsts: list[int]) -> Segment | None:
    for first in reversed(firsts):
        segment = parse(first, store.get(segment_key(folder, first)))
        if segment.intact or 0 < segment.attempt < attempt:
            return segment
    return None
