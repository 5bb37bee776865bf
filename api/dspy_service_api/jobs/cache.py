"""All jobs of the namespace, kept up to date by the reflector's watch; every read is answered from here.

What the API itself created or deleted is entered at once, so that a client sees what it has just done: a new job is
there immediately, and a deleted one does not come back with an older list or watch event.
"""

import logging
from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterator
from typing import get_args

from dspy_service_api.jobs.changes import Changes, JobChange
from dspy_service_api.jobs.from_resource import record_of
from dspy_service_api.jobs.record import JobRecord
from dspy_service_api.jobs.unreadable import unreadable_record
from dspy_service_core.kube.protocol import Object
from dspy_service_core.resource.queue_order import Age, Rank
from dspy_service_core.resource.status import StatusWord

log = logging.getLogger(__name__)

_TOMBSTONES = 10_000
"""How many deleted jobs are remembered: more than can be deleted within the seconds that a list takes."""


class JobCache:
    """Implements the reflector's `ObjectCache`, on one event loop, so without locks. `changes` announces every new
    version of a job and every removal."""

    def __init__(self) -> None:
        self.changes = Changes()
        self._records: dict[str, JobRecord] = {}
        self._by_age: list[Age] = []
        self._by_status: dict[StatusWord, list[Age]] = {status: [] for status in get_args(StatusWord)}
        self._queue: list[Rank] = []
        self._called: dict[str, list[Age]] = {}
        self._deleted: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._records)

    def get(self, name: str) -> JobRecord | None:
        return self._records.get(name)

    def called(self, name: str) -> JobRecord | None:
        """The newest job that is called so: since a name is free again once its job has ended, that is the one which
        has not ended, where there is one."""
        ages = self._called.get(name)
        return self._records[ages[-1][-1]] if ages else None

    def upsert(self, obj: Object) -> None:
        metadata = obj["metadata"]
        if metadata.get("deletionTimestamp") and not metadata.get("finalizers"):
            self.remove(obj)
        elif metadata["uid"] not in self._deleted and not self._knows(metadata):
            self._put(_record(obj))

    def remove(self, obj: Object) -> None:
        self.forget(obj["metadata"]["name"], obj["metadata"]["uid"])

    def forget(self, name: str, uid: str) -> None:
        """For good: a uid is never used again, so whatever still arrives for it is outdated."""
        self._deleted[uid] = None
        if len(self._deleted) > _TOMBSTONES:
            self._deleted.popitem(last=False)
        record = self._records.get(name)
        if record and record.uid == uid:
            self._lose(record)

    def retain(self, keys: frozenset[tuple[str, str]]) -> None:
        kept = {name for _, name in keys}
        for record in [record for name, record in self._records.items() if name not in kept]:
            self._lose(record)

    def newest_first(self, after: Age | None = None, status: StatusWord | None = None) -> Iterator[JobRecord]:
        """Records from the newest on, of all jobs or of those with one status, and only those that are older than
        `after`. What is not taken costs nothing; no change may come while they are taken."""
        ages = self._by_age if status is None else self._by_status[status]
        end = len(ages) if after is None else bisect_left(ages, after)
        for at in range(end - 1, -1, -1):
            yield self._records[ages[at][-1]]

    def count(self, status: StatusWord) -> int:
        return len(self._by_status[status])

    def position(self, record: JobRecord) -> int:
        """The job's place in the queue: 1 starts next, 0 does not wait."""
        return bisect_left(self._queue, record.queue_order) + 1 if record.queue_order else 0

    def _knows(self, metadata: Object) -> bool:
        """The answer to a create may come after the watch has brought later versions, and a list repeats known ones."""
        known = self._records.get(metadata["name"])
        if not known or known.uid != metadata["uid"]:
            return False
        version = metadata["resourceVersion"]
        return known.version == version or _as_number(known.version) > _as_number(version)

    def _put(self, record: JobRecord) -> None:
        known = self._records.get(record.name)
        if known and known.uid != record.uid:
            self._lose(known)
            known = None
        elif known:
            self._drop(known)
        self._records[record.name] = record
        insort(self._by_age, record.age)
        insort(self._by_status[record.status], record.age)
        if record.called:
            insort(self._called.setdefault(record.called, []), record.age)
        if record.queue_order:
            insort(self._queue, record.queue_order)
        self.changes.tell(JobChange(known, record))

    def _lose(self, record: JobRecord) -> None:
        self._drop(record)
        self.changes.tell(JobChange(record, None))

    def _drop(self, record: JobRecord) -> None:
        del self._records[record.name]
        for ages in (self._by_age, self._by_status[record.status]):
            del ages[bisect_left(ages, record.age)]
        if record.called:
            self._uncall(record)
        if record.queue_order:
            del self._queue[bisect_left(self._queue, record.queue_order)]

    def _uncall(self, record: JobRecord) -> None:
        ages = self._called[record.called]
        del ages[bisect_left(ages, record.age)]
        if not ages:
            del self._called[record.called]


def _record(obj: Object) -> JobRecord:
    """An unforeseen error in one resource must hide neither its job nor the others of the same list."""
    try:
        return record_of(obj)
    except Exception as exc:
        metadata = obj["metadata"]
        log.warning("job %s cannot be read: %s: %s", metadata["name"], type(exc).__name__, str(exc)[:200])
        return unreadable_record(obj)


def _as_number(version: str) -> int:
    """Versions used to be opaque in theory; every API server in use counts upwards, and Kubernetes 1.35 promises it."""
    return int(version) if version.isdigit() else 0
