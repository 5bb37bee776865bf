"""What is new about a job, as soon as the cache knows: its events, log entries and candidates, each once, and
its summary.

Rounds: the entries that came since the round before, oldest first, then the summary. A round is made of what is known
when the reader is ready for it, so a slow reader gets fewer and larger rounds, and nothing waits in memory for it. The
newest entries come from the job's record; only who is further behind than that makes us read the store.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, replace
from typing import Literal

from dspy_service_api.answers import present
from dspy_service_api.answers.job_answers import Jobs
from dspy_service_api.jobs.position import Position
from dspy_service_api.jobs.record import JobRecord, Json
from dspy_service_api.jobs.transcript import Kind, Transcript
from dspy_service_core.errors import JobNotFound

Word = Literal["status", "event", "log", "candidate"]
_LINE_BREAKS = bytes.maketrans(b"\r\n", b"  ")
_WORDS: dict[Kind, Word] = {"events": "event", "logs": "log", "candidates": "candidate"}
_PAGES: dict[Kind, int] = {"events": 500, "logs": 500, "candidates": 16}
"""How many are read at once: a candidate has up to 256 KiB, and a thousand streams may be open."""


@dataclass(frozen=True, slots=True)
class News:
    """`at` is where a reader is who has got this."""

    word: Word
    at: Position
    body: Json

    def encoded(self) -> bytes:
        """JSON has line breaks only between its values, where they mean nothing."""
        return b"id: %b\nevent: %b\ndata: %b\n\n" % (
            str(self.at).encode(),
            self.word.encode(),
            self.body.translate(_LINE_BREAKS),
        )


@dataclass(slots=True)
class JobStream:
    jobs: Jobs
    job_id: str
    at: Position

    async def news(self) -> AsyncGenerator[News, None]:
        """Until the job has ended. Raises `JobNotFound` when it is removed, `StoreError` where entries cannot be
        read."""
        record = await self.jobs.find(self.job_id)
        told = b""
        with self.jobs.cache.changes.listen(record.uid, buffer=1) as listener:
            while True:
                record = self._now(record)
                before = self.at
                for kind in _WORDS:
                    async for news in self._entries(record, kind):
                        yield news
                summary = present.summary(record, self.jobs.cache.position(record))
                if record.finished:
                    self.at = replace(self.at, ended=True)
                if summary != told or self.at != before:
                    told = summary
                    yield News("status", self.at, summary)
                if record.finished:
                    return
                await listener.next()

    def _now(self, known: JobRecord) -> JobRecord:
        record = self.jobs.cache.get(known.name)
        if record is None or record.uid != known.uid:
            raise JobNotFound(self.job_id)
        return record

    async def _entries(self, record: JobRecord, kind: Kind) -> AsyncIterator[News]:
        transcript = Transcript(self.jobs.store, record, kind)
        while True:
            entries = await transcript.entries(getattr(self.at, kind), _PAGES[kind])
            for number, body in entries:
                self.at = self.at.moved(kind, number)
                yield News(_WORDS[kind], self.at, body)
            if len(entries) < _PAGES[kind]:
                return
