"""Keeps encoded answers about finished jobs, which never change: assembling one means reading about ten small files.

They are kept in memory, within a bound in bytes; the one that nobody asked for longest is dropped first. Compressed,
at least three times as many fit: reading 25 KB back takes 2 to 60 microseconds, assembling them takes 300. An answer
that may still change is never kept.

An answer is made when somebody asks for it. Only for a job that has just ended it is made at once, because whoever
waited for the end asks next, and only where the store is a folder: in an object store it costs about ten paid requests.
"""

import asyncio
import logging
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, Self

from cachetools import LRUCache

from dspy_service_api.jobs.changes import Changes, JobChange, Missed
from dspy_service_api.jobs.record import JobRecord, Json
from dspy_service_core.errors import ServiceError

log = logging.getLogger(__name__)

About = Literal["job", "artifact"]
Key = tuple[About, str, str]
"""Kind of the answer, uid of the job, version of the resource."""

_FASTEST = 1
"""zlib's level: higher ones take twice the time and make answers hardly smaller."""
_BARE = -15
"""zlib's raw format: its checksum would take half the time of reading an answer back."""
_BESIDE = 700
"""Bytes of memory that an answer needs beyond its content: key, tag and entries in the cache's tables."""
_ENDS = 1000
"""How many ended jobs may wait for their answers to be made, one after the other."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Encoded JSON with its entity tag, which is a digest of it.

    The resource's version would not do as a tag, because an answer depends on more: on segments in the store, on other
    jobs' places in the queue, on settings, on the service's own version. A digest is right whatever the answer depends
    on. It takes a microsecond for each kilobyte, and is computed once for an answer that is kept.
    """

    etag: str
    _content: bytes
    _length: int = 0
    """Length of the content before compression; 0 where it is not compressed."""

    @classmethod
    def of(cls, body: Json) -> Self:
        return cls(f'"{sha256(body).hexdigest()[:32]}"', body)

    @property
    def body(self) -> Json:
        return zlib.decompress(self._content, _BARE, self._length) if self._length else self._content

    def compressed(self) -> "Answer":
        if self._length:
            return self
        return Answer(self.etag, zlib.compress(self._content, _FASTEST, _BARE), len(self._content))

    @property
    def size(self) -> int:
        return len(self._content) + _BESIDE


class AnswerCache:
    """`limit` is in bytes; 0 keeps nothing."""

    def __init__(self, limit: int) -> None:
        self._most = limit // 8
        self._answers: LRUCache[Key, Answer] = LRUCache(limit, getsizeof=lambda answer: answer.size)

    @property
    def size(self) -> int:
        return int(self._answers.currsize)

    def __contains__(self, key: Key) -> bool:
        return key in self._answers

    def get(self, key: Key) -> Answer | None:
        return self._answers.get(key)

    def put(self, key: Key, answer: Answer) -> None:
        """An answer that is so large that it would push many others out is not kept."""
        kept = answer.compressed()
        if kept.size <= self._most:
            self._answers[key] = kept

    def forget(self, record: JobRecord) -> None:
        self._answers.pop(key_of("job", record), None)
        self._answers.pop(key_of("artifact", record), None)

    async def follow(self, changes: Changes, make: Callable[[JobRecord], Awaitable[object]] | None) -> None:
        """Drops answers that a change made stale, and calls `make` for each job that has just ended; never returns."""
        with changes.listen(wants=_concerns_answers, buffer=_ENDS) as listener:
            async for change in listener:
                if isinstance(change, Missed):
                    continue  # a stale answer is harmless: it has an older version in its key, and is dropped in time
                if change.before:
                    self.forget(change.before)
                if make and change.after and change.after.settled:
                    await _made(make, change.after)
                    await asyncio.sleep(0)  # reading a folder never yields to the loop: let requests in between


def key_of(about: About, record: JobRecord) -> Key:
    return (about, record.uid, record.version)


def _concerns_answers(change: JobChange) -> bool:
    """Jobs that are found at the start do not count: there may be thousands, and nobody asks for most of them."""
    before, after = change.before, change.after
    return before is not None and (before.settled or (after is not None and after.settled))


async def _made(make: Callable[[JobRecord], Awaitable[object]], record: JobRecord) -> None:
    try:
        await make(record)
    except ServiceError:
        return  # whoever asks for the answer is told what is wrong
    except Exception:  # nobody waits for it, and the next jobs' answers are made all the same
        log.exception("the answer about job %s cannot be made", record.name)
