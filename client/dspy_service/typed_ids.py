"""What people type for a job: its id, what it is called, or the beginning of its id. `GET /jobs` is asked once, and
what is sent from then on is the full id: whoever takes the name over meanwhile is not meant.

No I/O: a resolution yields the calls that it needs and is given their answers, so that both clients share it.
"""

import re
from collections.abc import Generator, Sequence

from dspy_service.answers import JobPage, Summary
from dspy_service.errors import AmbiguousJob, InvalidPayload, NotAllowed
from dspy_service.wire import calls

LEAST_PREFIX = 4
"""Characters. Fewer are too soon another job's too."""
SHORT = 13
"""What lists show of an id at least: 12 of its digits, which no two of millions of jobs share by chance."""
_PAGE = 500
_MOST_TOLD = 10
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_RESOURCE = re.compile(rf"job-{_UUID.pattern}")
_ANY_UUID = "00000000-0000-0000-0000-000000000000"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?|[0-9a-f-]{4,36}")
"""Of jobs; whatever else is typed is none, and the service says so itself."""
NOT_LISTED = (NotAllowed, InvalidPayload)
"""Whoever may not list jobs can still name one exactly; an older service refuses to look for names."""


class FullId(str):
    """A job's id that was resolved already: it is sent as it is."""

    __slots__ = ()


Resolution = Generator[calls.Call[JobPage], JobPage, FullId]
Found = Generator[calls.Call[JobPage], JobPage, str | None]


def resolve(typed: str, *, alone: bool = False) -> Resolution:
    """An id comes first, then what jobs are called, then the beginning of an id, which must be of one job.

    A name that several jobs have had is the newest one's; with `alone` it is refused, for what cannot be undone.
    Whatever is not found is left to the service, which takes exact ids. Raises `AmbiguousJob`.
    """
    if isinstance(typed, FullId) or _is_full(typed) or not _NAME.fullmatch(typed):
        return FullId(typed)
    return FullId((yield from _called(typed, alone)) or (yield from _begun(typed)) or typed)


def short_ids(ids: Sequence[str]) -> list[str]:
    """What can be typed for each of them; what is no UUID has no beginning that may stand for it."""
    return [_short(job_id, ids) if _UUID.fullmatch(job_id) else job_id for job_id in ids]


def _short(job_id: str, ids: Sequence[str]) -> str:
    others = [other for other in ids if other != job_id]
    lengths = range(SHORT, len(job_id))
    return next(
        (job_id[:n] for n in lengths if not any(other.startswith(job_id[:n]) for other in others)), job_id
    ).rstrip("-")


def _called(typed: str, alone: bool) -> Found:
    page = yield calls.jobs(name=typed)
    found = [job for job in page.jobs if typed in (job.job_id, job.name)]
    if any(job.job_id == typed for job in found):
        return typed
    if alone and len(found) > 1:
        raise _ambiguous(typed, f"Several jobs have been called '{typed}'", found)
    return found[0].job_id if found else None


def _begun(typed: str) -> Found:
    if len(typed) < LEAST_PREFIX or not _UUID.fullmatch(typed + _ANY_UUID[len(typed) :]):
        return None
    found: list[Summary] = []
    cursor: str | None = None
    while True:
        page = yield calls.jobs(limit=_PAGE, cursor=cursor)
        found += (job for job in page.jobs if job.job_id.startswith(typed) and _UUID.fullmatch(job.job_id))
        cursor = page.next_cursor
        if cursor is None or len(found) > _MOST_TOLD:
            break
    if len(found) > 1:
        raise _ambiguous(typed, f"The ids of several jobs begin with '{typed}'", found)
    return found[0].job_id if found else None


def _ambiguous(typed: str, said: str, found: Sequence[Summary]) -> AmbiguousJob:
    told = found[:_MOST_TOLD]
    lines = [" ".join(filter(None, (job.job_id, job.status, job.name))) for job in told]
    more = ["and more"] if len(found) > _MOST_TOLD else []
    text = "\n".join([f"{said}. Type one of these instead:", *lines, *more])
    return AmbiguousJob(text, typed, tuple(job.job_id for job in told))


def _is_full(typed: str) -> bool:
    return bool(_UUID.fullmatch(typed) or _RESOURCE.fullmatch(typed))
