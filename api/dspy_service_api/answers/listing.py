"""`GET /jobs`: filters and pages over the cache, newest first. A cursor holds the age of a page's last job, so that the
next page is right even when jobs came or went meanwhile.
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


@dataclass(frozen=True, slots=True)
class Wanted:
    limit: int
    status: str | None = None
    optimizer: str | None = None
    verdict: str | None = None
    name: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    cursor: str | None = None

    def takes(self, record: JobRecord) -> bool:
        return (
            (self.status is None or record.status == self.status)
            and (self.optimizer is None or record.optimizer_name == self.optimizer)
            and (self.name is None or record.called == self.name)
            and (self.verdict is None or (record.end is not None and record.end.verdict == self.verdict))
            and all(record.labels.get(key) == value for key, value in self.labels.items())
        )


def list_jobs(cache: JobCache, wanted: Wanted) -> Json:
    found: list[JobRecord] = []
    for record in cache.newest_first(_age_of(wanted.cursor) if wanted.cursor else None):
        if wanted.takes(record):
            found.append(record)
        if len(found) > wanted.limit:  # one more tells that there is a next page
            break
    page = found[: wanted.limit]
    cursor = cursor_of(page[-1]) if len(found) > wanted.limit else None
    return present.listing([present.summary_fields(record, cache.position(record)) for record in page], cursor)


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
