"""Joins a job's log entries, events or candidates from the store's segments with the newer ones in the status, by
their numbers.

Segments are uploaded every few seconds, and the tail in the status is newer. While a job runs, the tail's entries are
appended where they directly follow the last segment's, so that a client sees every entry once, in order, and without
gaps. Entries remain the bytes that the reporter wrote; the whole list is checked to be JSON before it becomes part of
an answer. A gap or a broken segment is a `StoreError`, because half a log would look like a whole one. Only for a
deleted job whose record is kept by finalizers, the tail in the status is enough.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import orjson

from dspy_service_api.jobs.record import JobRecord, Json, StreamTail
from dspy_service_core.errors import StoreError
from dspy_service_core.storage import segments
from dspy_service_core.storage.segments import EntryPage
from dspy_service_core.storage.store import NotFound, Store, job_folder

Kind = Literal["logs", "events", "candidates"]
_MOST_BYTES: Mapping[Kind, int] = {"logs": 2**63, "events": 2**63, "candidates": 8 * 1024 * 1024}
"""A page ends where it has so many: a candidate can be as large as a segment."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """The log entries, the events or the candidates of one job."""

    store: Store
    record: JobRecord
    kind: Kind

    async def newest(self, limit: int) -> Json:
        """The newest entries as a JSON list, without numbers, for the answers that embed them."""
        try:
            return await self._stored(limit)
        except StoreError:
            if not self.record.kept_by:
                raise
            return self._list([entry.body for entry in self._stream.tail][-limit:])

    async def _stored(self, limit: int) -> Json:
        lines = await self._only_segment() or await self._newest(limit)
        if lines.first > 1 and len(lines.entries) < limit:
            raise self._lack(1, lines.first - 1)
        return self._list(lines.entries[-limit:])

    async def after(self, number: int, limit: int) -> Json:
        """Entries numbered above `number` as a JSON list; each carries its number `n`."""
        return self._numbered(await self._found_after(number, limit))

    async def entries(self, number: int, limit: int) -> list[tuple[int, Json]]:
        """Entries numbered above `number`, as pairs of number and JSON that carries it. The store is read only where
        the newest entries in the status do not reach back so far, and where the status may not know of all."""
        stream = self._stream
        if not self.record.finished and number >= stream.count:
            return []
        if not self.record.finished and stream.tail and stream.tail[0].n <= number + 1:
            found = [(entry.n, entry.body) for entry in stream.tail if entry.n > number][:limit]
        else:
            found = await self._found_after(number, limit)
        self._list([body for _, body in found])  # an entry that is no JSON would end its reader
        return [(n, b'{"n":%d,%b' % (n, body[1:])) for n, body in found]

    async def _found_after(self, number: int, limit: int) -> list[tuple[int, Json]]:
        try:
            lines = await self._lines_after(number, limit)
        except StoreError:
            if not self.record.kept_by:
                raise
            return [(entry.n, entry.body) for entry in self._stream.tail if entry.n > number][:limit]
        return list(enumerate(lines.entries[:limit], lines.first))

    async def _lines_after(self, number: int, limit: int) -> "_Lines":
        page = EntryPage([])
        if self.record.attempted:
            page = await segments.after(self.store, self._folder, number, limit, _MOST_BYTES[self.kind])
        lines = self._contiguous(page, first=number + 1)
        if lines.first > number + 1:
            raise self._lack(number + 1, lines.first - 1)
        if not page.more:
            lines = self._with_tail(lines)
        return lines

    async def _only_segment(self) -> "_Lines | None":
        """Most settled jobs have exactly one segment, which can be read without listing the folder. None where it does
        not hold all entries."""
        if not (self.record.settled and self._stream.count):
            return None
        try:
            segment = segments.parse(1, await self.store.get_async(segments.segment_key(self._folder, 1)))
        except NotFound:
            return None
        return _Lines(1, segment.lines) if segment.intact and segment.following == self._stream.count + 1 else None

    async def _newest(self, limit: int) -> "_Lines":
        page = await segments.newest(self.store, self._folder, limit) if self.record.attempted else EntryPage([])
        return self._with_tail(self._contiguous(page, first=1))

    @property
    def _folder(self) -> str:
        return f"{job_folder(self.record.namespace, self.record.store_id)}/{self.kind}"

    @property
    def _stream(self) -> StreamTail:
        found: StreamTail = getattr(self.record, self.kind)
        return found

    def _contiguous(self, page: EntryPage, first: int) -> "_Lines":
        if page.missing > 0:
            raise StoreError(f"the store lacks {page.missing} entries of the {self.kind} of job '{self.record.job_id}'")
        if not page.runs:
            return _Lines(first, [])
        return _Lines(page.runs[0][0], [line for _, lines in page.runs for line in lines])

    def _with_tail(self, stored: "_Lines") -> "_Lines":
        """A run stores everything before it reports its end; of any other run the status may be ahead of the store."""
        if self.record.end and stored.following <= self._stream.count:
            raise self._lack(stored.following, self._stream.count)
        tail = [entry for entry in self._stream.tail if entry.n >= stored.following]
        if not tail or tail[0].n != stored.following:
            return stored
        return _Lines(stored.first, [*stored.entries, *(entry.body for entry in tail)])

    def _numbered(self, entries: Iterable[tuple[int, Json]]) -> Json:
        return self._list([b'{"n":%d,%b' % (n, entry[1:]) for n, entry in entries])

    def _list(self, entries: list[Json]) -> Json:
        joined = b"[%b]" % b",".join(entries)
        try:
            if len(orjson.loads(joined)) == len(entries):
                return joined
        except orjson.JSONDecodeError:
            pass
        raise StoreError(f"the {self.kind} of job '{self.record.job_id}' in the store are broken")

    def _lack(self, first: int, last: int) -> StoreError:
        job = self.record.job_id
        return StoreError(f"the store lacks entries {first} to {last} of the {self.kind} of job '{job}'")


@dataclass(frozen=True, slots=True)
class _Lines:
    """Consecutive entries, the first of them numbered `first`."""

    first: int
    entries: list[Json]

    @property
    def following(self) -> int:
        return self.first + len(self.entries)
