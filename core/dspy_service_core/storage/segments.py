"""The append-only streams of a job (events, logs, candidates, answered model calls) as segment files in the store, and
their reader.

`<folder>/<first number, 10 digits>.jsonl` has a header line and then one JSON entry a line. Entries are numbered from
the number in the file's name; numbers count from 1 over all attempts of the job. The reporter writes segments
(`segment_writer`), the API reads pages of entries here. Without pydantic.

Why no entry is lost or doubled:
- Only the newest segment is rewritten, each time as a whole, until it has `SEGMENT_BYTES`; then it is sealed. Sealed
  segments are stored before the next one, so the store always holds a beginning of the stream.
- The header says how far the attempt's source file had been read. Entries and that offset become visible in one atomic
  put, so a restarted reporter continues exactly where its predecessor was.
- Each attempt begins a new segment. If a reporter of an earlier attempt still writes after that, its entries beyond the
  next segment's first number are not read: the later attempt wins.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import orjson

from dspy_service_core.storage.store import NotFound, Store, StoredObject

SEGMENT_BYTES = 256 * 1024
_NAME = re.compile(r"(?:.*/)?([0-9]{10,})\.jsonl")


def segment_key(folder: str, first: int) -> str:
    return f"{folder}/{first:010d}.jsonl"


@dataclass(frozen=True, slots=True)
class Segment:
    """One file as it was read. `intact` is False if it was cut; `lines` then has its complete entries."""

    first: int
    attempt: int
    to: int
    counted: int
    lines: list[bytes]
    intact: bool

    @property
    def following(self) -> int:
        return self.first + len(self.lines)


def parse(first: int, content: bytes) -> Segment:
    """Never raises: a file without a readable header counts as cut and empty."""
    head, _, body = content.partition(b"\n")
    *lines, rest = body.split(b"\n")
    try:
        header = orjson.loads(head)
        attempt, to, counted = (int(header[name]) for name in ("attempt", "to", "count"))
    except (ValueError, TypeError, KeyError):
        return Segment(first, 0, 0, 0, [], intact=False)
    return Segment(first, attempt, to, counted, lines, intact=not rest and counted == len(lines))


def listed(entries: list[StoredObject]) -> list[tuple[int, int]]:
    """(first number, size) of each segment, in order; other files in the folder are ignored."""
    matches = ((_NAME.fullmatch(entry.key), entry.size) for entry in entries)
    return sorted((int(match[1]), size) for match, size in matches if match)


def _bounded(firsts: list[int]) -> list[tuple[int, int]]:
    """(first number, the next segment's first or 0) of each segment, and of a missing beginning of the stream."""
    begin = [] if not firsts or firsts[0] == 1 else [1]
    return list(pairwise([*begin, *firsts, 0]))


@dataclass(frozen=True, slots=True)
class EntryPage:
    """Entries as runs of (number of the first, raw JSON lines), oldest first.

    `missing` counts the entries within the page that should be in the store and are not; `more` says whether entries
    follow after the page.
    """

    runs: list[tuple[int, list[bytes]]]
    missing: int = 0
    more: bool = False

    @property
    def last(self) -> int:
        """Number of the last entry; 0 when there is none."""
        return self.runs[-1][0] + len(self.runs[-1][1]) - 1 if self.runs else 0

    def joined(self) -> bytes:
        """The elements of a JSON array, joined without parsing."""
        return b",".join([line for _, lines in self.runs for line in lines])

    def numbered(self) -> bytes:
        """The same, each entry with its number `n` first."""
        return b",".join(
            [b'{"n":%d,%b' % (n, line[1:]) for first, lines in self.runs for n, line in enumerate(lines, first)]
        )


async def newest(store: Store, folder: str, limit: int) -> EntryPage:
    """The newest `limit` entries."""
    runs: list[tuple[int, list[bytes]]] = []
    missing, wanted = 0, limit
    for first, following in reversed(await _spans(store, folder)):
        if wanted <= 0:
            break
        lines, lost = await _read(store, folder, first, following)
        missing += lost
        if taken := lines[-wanted:]:
            runs.append((first + len(lines) - len(taken), taken))
            wanted -= len(taken)
    return EntryPage(runs[::-1], missing)


async def after(store: Store, folder: str, number: int, limit: int, most_bytes: int = 2**63) -> EntryPage:
    """At most `limit` entries whose numbers are above `number`, oldest first. The page ends with the segment in which
    it reaches `most_bytes`."""
    runs: list[tuple[int, list[bytes]]] = []
    missing, wanted, size = 0, limit, 0
    spans = await _spans(store, folder)
    begin = max(bisect_right(spans, number + 1, key=lambda span: span[0]) - 1, 0)
    for first, following in spans[begin:]:
        if size >= most_bytes:
            return EntryPage(runs, missing, more=True)
        lines, lost = await _read(store, folder, first, following)
        skipped = max(number + 1 - first, 0)
        left = lines[skipped:]
        if len(left) > wanted:
            return EntryPage(_with(runs, first + skipped, left[:wanted]), missing, more=True)
        runs = _with(runs, first + skipped, left)
        size += sum(map(len, left))
        wanted -= len(left)
        missing += min(lost, len(lines) + lost - skipped)
    return EntryPage(runs, missing)


def _with(runs: list[tuple[int, list[bytes]]], first: int, lines: list[bytes]) -> list[tuple[int, list[bytes]]]:
    return [*runs, (first, lines)] if lines else runs


async def _spans(store: Store, folder: str) -> list[tuple[int, int]]:
    return _bounded([first for first, _ in listed(await store.files_async(folder))])


async def _read(store: Store, folder: str, first: int, following: int) -> tuple[list[bytes], int]:
    """A segment's entries up to the next segment's first number, and how many entries are missing there."""
    try:
        segment = parse(first, await store.get_async(segment_key(folder, first)))
    except NotFound:
        segment = parse(first, b"")
    expected = following - first if following else segment.counted
    lines = segment.lines[:expected]
    return lines, expected - len(lines)


def stream(store: Store, folder: str, number: int = 0) -> Iterator[tuple[int, bytes]]:
    """(number, entry) of all entries above `number`, in order, with one segment in memory at a time."""
    for first, following in pairwise([*(first for first, _ in listed(store.files(folder))), 0]):
        if following and following <= number + 1:
            continue
        lines = parse(first, store.get(segment_key(folder, first))).lines
        numbered = enumerate(lines[: following - first if following else None], first)
        yield from (item for item in numbered if item[0] > number)
