"""Encoded answers about finished jobs: they never change, and assembling one reads about ten small files.

In memory, within a bound that counts bytes; the one that was asked for least recently goes first. They are held
compressed, as three times as many fit then, or more: 2 to 60 microseconds to read back 25 KB, where assembling them
takes 300. What may still change is never held.

An answer is made when somebody asks for it. Only the one about a job that has just ended is made at once, where the
store is a folder: whoever waited for the end asks next. (Of an object store it is about ten paid requests.)
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
"""What the answer is about, the job's uid, the resource's version."""

_FASTEST = 1
"""zlib's level: the next ones make answers hardly smaller, in twice the time."""
_BARE = -15
"""zlib's format without a checksum, which takes half the time of reading one back."""
_BESIDE = 700
"""Bytes that an answer takes beside its own: key, tag, and places in the cache's tables."""
_ENDS = 1000
"""Jobs that ended at about the same time, whose answers are made one after the other."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Encoded JSON with its entity tag: a digest of it.

    A tag could be made of the resource's version as well, but what is answered depends on more: on segments in the
    store, on other jobs' places in the queue, on settings, on the service's own version. The digest is right whatever
    it depends on, takes a microsecond for each kilobyte, and is taken once for an answer that is held.
    """

    etag: str
    _content: bytes
    _length: int = 0
    """Of the content before it was compressed; 0 where it is not."""

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
    """Bounded in bytes; 0 holds nothing."""

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
        """Not one that would push many others out."""
        kept = answer.compressed()
        if kept.size <= self._most:
            self._answers[key] = kept

    def forget(self, record: JobRecord) -> None:
        self._answers.pop(key_of("job", record), None)
        self._answers.pop(key_of("artifact", record), None)

    async def follow(self, changes: Changes, make: Callable[[JobRecord], Awaitable[object]] | None) -> None:
        """Lets go of what a change made stale, and has `make` make the answer about a job that ended; never returns."""
        with changes.listen(wants=_concerns_answers, buffer=_ENDS) as listener:
            async for change in listener:
                if isinstance(change, Missed):
                    continue  # what is stale is not found under its job's new version, and makes room one day
                if change.before:
                    self.forget(change.before)
                if make and change.after and change.after.settled:
                    await _made(make, change.after)
                    await asyncio.sleep(0)  # a folder is read without waiting: requests come in between


def key_of(about: About, record: JobRecord) -> Key:
    return (about, record.uid, record.version)


def _concerns_answers(change: JobChange) -> bool:
    """Not the jobs that a start finds: there may be thousands, most of which nobody asks for."""
    before, after = change.before, change.after
    return before is not None and (before.settled or (after is not None and after.settled))


async def _made(make: Callable[[JobRecord], Awaitable[object]], record: JobRecord) -> None:
    try:
        await make(record)
    except ServiceError:
        return  # whoever asks is told what is wrong with it
    except Exception:
        log.exception("the answer about job %s cannot be made", record.name)  # nor can it for whoever asks
