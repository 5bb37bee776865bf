"""`GET /jobs`: filters and pages over the cache, newest first. A cursor holds the age of a page's last job, so that the
next page is right even when jobs came or went meanwhile.

A search by words looks through a bounded number of jobs at a time, since their texts are in no index: its page may be
short, or empty, and the cursor goes on from there.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from dspy_service_api.answers import present
from dspy_service_api.jobs.cache import JobCache
from dspy_service_api.jobs.record import JobRecord, Json
from dspy_service_core.errors import FieldProblem, InvalidRequest
from dspy_service_core.resource.queue_order import Age
from dspy_service_core.resource.status import StatusWord

_LOOKED_THROUGH = 2000
"""Jobs, at most, for one page of a search by words: about five milliseconds."""


@dataclass(frozen=True, slots=True)
class Wanted:
    limit: int
    status: StatusWord | None = None
    optimizer: str | None = None
    verdict: str | None = None
    name: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    cursor: str | None = None
    words: tuple[str, ...] = ()
    """In lower case; a job must say all of them somewhere."""

    @property
    def counted(self) -> bool:
        """Whether the cache knows without looking how many jobs there are of these."""
        return not (self.optimizer or self.verdict or self.name or self.labels or self.words)

    def takes(self, record: JobRecord, cache: JobCache) -> bool:
        return self._fits(record) and (not self.words or self._says(record, cache.position(record)))

    def _fits(self, record: JobRecord) -> bool:
        return (
            (self.optimizer is None or record.optimizer_name == self.optimizer)
            and (self.name is None or record.called == self.name)
            and (self.verdict is None or (record.end is not None and record.end.verdict == self.verdict))
            and (not self.labels or all(record.labels.get(key) == value for key, value in self.labels.items()))
        )

    def _says(self, record: JobRecord, position: int) -> bool:
        said = " ".join(
            (
                record.job_id,
                record.called,
                record.note,
                record.status,
                record.end.verdict or "" if record.end else "",
                record.optimizer_name,
                record.module_name,
                record.model_name,
                present.message(record, position),
            )
        ).lower()
        return all(word in said for word in self.words)


def list_jobs(cache: JobCache, wanted: Wanted) -> Json:
    page, cursor = _page(cache, wanted)
    summaries = [present.summary_fields(record, cache.position(record)) for record in page]
    return present.listing(summaries, cursor, _total(cache, wanted))


def _total(cache: JobCache, wanted: Wanted) -> int | None:
    if not wanted.counted:
        return None
    return len(cache) if wanted.status is None else cache.count(wanted.status)


def _page(cache: JobCache, wanted: Wanted) -> tuple[list[JobRecord], str | None]:
    """The jobs, and from where the next page goes on; None at the end of the list."""
    found: list[JobRecord] = []
    last: JobRecord | None = None
    after = _age_of(wanted.cursor) if wanted.cursor else None
    for looked_at, record in enumerate(cache.newest_first(after, wanted.status)):
        if last and wanted.words and looked_at == _LOOKED_THROUGH:
            return found, cursor_of(last)
        if wanted.takes(record, cache):
            if len(found) == wanted.limit:  # one more tells that there is a next page
                return found, cursor_of(found[-1])
            found.append(record)
        last = record
    return found, None


def labels_of(given: list[str]) -> dict[str, str]:
    """From `key=value` strings; a job must have all of these labels."""
    labels = {}
    for item in given:
        key, equals, value = item.partition("=")
        if not (key and equals):
            raise InvalidRequest([FieldProblem("label", "is written key=value", "invalid_label")])
        labels[key] = value
    return labels


def cursor_of(record: JobRecord) -> str:
    """Encoded as JSON, so that the parts may hold any character."""
    return base64.urlsafe_b64encode(orjson.dumps(record.age)).decode().rstrip("=")


def _age_of(cursor: str) -> Age:
    try:
        decoded = orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except ValueError:
        decoded = None
    match decoded:
        case [str(created), str(stamp), str(name)]:
            return created, stamp, name
    problem = FieldProblem("cursor", "is not one that this service gave", "invalid_cursor")
    raise InvalidRequest([problem])
