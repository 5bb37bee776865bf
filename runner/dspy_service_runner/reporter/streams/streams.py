"""Brings the four files that the optimizer appends to into the store: tail -> entry -> segment, within a quota.

Nothing is lost or stored twice, because an entry and the offset behind it enter the store in one put
(`core.storage.segments`), and only after that does the status count it (`settle`). While the store is away, reading
stops at `MAX_BACKLOG`, and the optimizer's own files keep the rest.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import orjson

from dspy_service_core.records.events import Event, LogEntry
from dspy_service_core.records.record import read
from dspy_service_core.storage.segment_writer import SegmentWriter
from dspy_service_core.storage.store import Store
from dspy_service_runner.reporter.status.status import Report
from dspy_service_runner.reporter.streams.entries import EntryMaker, own_log
from dspy_service_runner.reporter.streams.tail import Line, Tail

MAX_BACKLOG = 1024 * 1024
LAST_LINES = 100
"""How many of the newest lines are kept after the quota is used up: a failure's stack trace is at the end."""


class Stream(Protocol):
    def take(self) -> bool:
        """Reads new lines; returns whether there were any."""
        ...

    def finish(self) -> None:
        """Called when the optimizer has ended, as far as is known: adds what was held back."""
        ...

    def settle(self, report: Report) -> None:
        """Tells the report what the store holds by now."""
        ...

    def problem(self) -> str:
        """What is wrong with the file, for the job's log; empty if nothing is."""
        ...

    @property
    def tail(self) -> Tail: ...

    @property
    def writer(self) -> SegmentWriter: ...


def flush(stream: Stream, store: Store) -> None:
    """Stores everything that was read so far. After a failure, the next call stores the rest."""
    for segment in stream.writer.unsaved():
        store.put(segment.key, segment.content, durable=True)
        stream.writer.saved(segment)


@dataclass(slots=True)
class LogStream:
    tail: Tail
    writer: SegmentWriter
    maker: EntryMaker
    quota: int
    now: Callable[[], str]
    _waiting: deque[tuple[int, LogEntry]] = field(init=False, default_factory=lambda: deque(maxlen=20))
    _newest: deque[Line] = field(init=False, default_factory=lambda: deque(maxlen=LAST_LINES))
    _beyond: int = field(init=False, default=0)

    def take(self) -> bool:
        if self.writer.backlog > MAX_BACKLOG:
            return False
        lines = self.tail.read()
        for line in lines:
            self._take(line)
        return bool(lines)

    def finish(self) -> None:
        dropped = self._beyond - len(self._newest)
        if dropped > 0:
            message = f"{dropped} log lines were dropped here: the log quota of {self.quota} bytes was used up."
            self._append(own_log(message, self.now()), self._newest[0].begin)
        for line in self._newest:
            self._append(self.maker.log(line, self.now()), line.to)
        self._newest.clear()
        self._beyond = 0

    def settle(self, report: Report) -> None:
        while self._waiting and self._waiting[0][0] <= self.writer.stored:
            report.add_log(*self._waiting.popleft())
        report.log_count = max(report.log_count, self.writer.stored)

    def say(self, message: str, level: str = "WARNING") -> None:
        """Adds an entry of the reporter's own."""
        self._append(own_log(message, self.now(), level), self.writer.to)

    def _take(self, line: Line) -> None:
        if self.writer.total_bytes < self.quota:
            self._append(self.maker.log(line, self.now()), line.to)
            if self.writer.total_bytes >= self.quota:
                self.say(f"The log quota of {self.quota} bytes is used up: of what follows, the end alone is kept.")
        else:
            # The stored offset stays before these lines until `finish`, so that the reporter after a kill counts them.
            self._newest.append(line)
            self._beyond += 1

    def _append(self, entry: LogEntry, to: int) -> None:
        self._waiting.append((self.writer.append(orjson.dumps(entry), to), entry))

    def problem(self) -> str:
        return oddity(self.tail)


@dataclass(slots=True)
class CheckedStream:
    """A stream of events, candidates or calls. Lines of the wrong shape and lines beyond the quota are left out."""

    tail: Tail
    writer: SegmentWriter
    make: Callable[[Line], bytes | None]
    quota: int
    tell: Callable[[Report, int, bytes], None] | None = None
    _waiting: deque[tuple[int, bytes]] = field(init=False, default_factory=deque)
    _full: bool = field(init=False, default=False)

    def take(self) -> bool:
        if self.writer.backlog > MAX_BACKLOG:
            return False
        lines = self.tail.read()
        for line in lines:
            if (entry := self.make(line)) is not None:
                self._take(entry, line.to)
        return bool(lines)

    def finish(self) -> None:
        """Nothing is held back."""

    def settle(self, report: Report) -> None:
        while self._waiting and self._waiting[0][0] <= self.writer.stored:
            number, entry = self._waiting.popleft()
            if self.tell:
                self.tell(report, number, entry)

    def problem(self) -> str:
        full = f"What is added to {self.tail.name} is no longer kept: it has used up its {self.quota} bytes."
        return full if self._full else oddity(self.tail)

    def _take(self, entry: bytes, to: int) -> None:
        self._full = self.writer.total_bytes >= self.quota
        if not self._full:
            number = self.writer.append(entry, to)
            if self.tell:
                self._waiting.append((number, entry))


def tell_event(report: Report, number: int, entry: bytes) -> None:
    if (event := read(Event, orjson.loads(entry))) is not None:
        report.add_event(number, event)


def tell_candidate(report: Report, number: int, _entry: bytes) -> None:
    report.candidate_count = number


def oddity(tail: Tail) -> str:
    if tail.given_up:
        return f"{tail.name} is no longer read: it is not a file that lines are appended to."
    if tail.replacements:
        return f"{tail.name} was cut or replaced while it was read; what it held before may be missing."
    return ""
