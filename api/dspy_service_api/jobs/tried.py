"""The programs that searches tried, in brief: what a picture or a list of them needs, without their texts.

A job may have hundreds, each with prompts of 100 KB, and a page that is open asks anew with every news. Numbers and
scores never change once they are stored, so those of the jobs that were asked about last are kept, and only what came
since is read.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson

from dspy_service_api.jobs.record import Json
from dspy_service_api.jobs.transcript import Transcript

_JOBS = 32
_MOST = 2000
"""Kept of one job: each takes about 100 bytes. What follows is read from the store."""
_PAGE = 64


@dataclass(frozen=True, slots=True)
class Tried:
    _kept: OrderedDict[str, tuple[Json, ...]] = field(default_factory=OrderedDict)

    async def brief(self, transcript: Transcript, after: int, limit: int) -> Json:
        """A page of candidates without their changes. It may end before `limit`, and is empty after the last one."""
        known = await self._known(transcript)
        found: Sequence[Json] = known[after : after + limit]
        if not found and after >= _MOST:
            found = await _read(transcript, after, min(limit, _MOST))
        return b"[%b]" % b",".join(found)

    async def _known(self, transcript: Transcript) -> tuple[Json, ...]:
        record = transcript.record
        known = self._kept.get(record.uid, ())
        if len(known) < record.candidates.count or (record.finished and not record.settled):
            known += tuple(await _read(transcript, len(known), _MOST - len(known)))
        self._kept[record.uid] = known
        self._kept.move_to_end(record.uid)
        while len(self._kept) > _JOBS:
            self._kept.popitem(last=False)
        return known


async def _read(transcript: Transcript, after: int, limit: int) -> list[Json]:
    found: list[Json] = []
    while len(found) < limit:
        page = await transcript.entries(after + len(found), min(_PAGE, limit - len(found)))
        if not page:
            break
        found += [_brief(body) for _, body in page]
    return found


def _brief(candidate: Json) -> Json:
    told = orjson.loads(candidate)
    return orjson.dumps({name: value for name, value in told.items() if name != "changes"})
