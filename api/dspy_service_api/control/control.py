"""cancel, stop, pause and resume of a job: each patches `spec.stop` and `spec.suspend`, as kubectl would, and operator
and pod carry it out.

A verb may be repeated: the job is asked once and the answer is the same. A job that has ended in another way, or that
is being cancelled, refuses it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dspy_service_api.answers.job_answers import Jobs
from dspy_service_api.jobs.from_resource import record_of
from dspy_service_api.jobs.record import JobRecord
from dspy_service_core.errors import JobEnded, JobNotFound
from dspy_service_core.kube import errors as kube
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS

Verb = Literal["cancel", "stop", "pause", "resume"]

PATCHES: Mapping[Verb, Mapping[str, Any]] = {
    "cancel": {"stop": "Cancel"},
    "stop": {"stop": "KeepBest", "suspend": False},  # a paused job needs an attempt, to score the best
    "pause": {"suspend": True},
    "resume": {"suspend": False},
}


@dataclass(frozen=True, slots=True)
class Control:
    jobs: Jobs

    async def ask(self, job_id: str, verb: Verb) -> JobRecord:
        """The job after the patch. Raises `JobEnded` if it can do this no more."""
        record = await self.jobs.find(job_id)
        if not (record.finished or refuses(record, verb)):
            record = await self._patched(job_id, record, verb)
        if refuses(record, verb):
            raise JobEnded(record.status, being_cancelled=not record.finished)
        return record

    async def _patched(self, job_id: str, record: JobRecord, verb: Verb) -> JobRecord:
        body = {"metadata": {"uid": record.uid}, "spec": dict(PATCHES[verb])}
        try:
            found = await self.jobs.cluster.patch(OPTIMIZATION_JOBS, record.name, body, self.jobs.namespace)
        except (kube.NotFound, kube.Invalid) as exc:
            if isinstance(exc, kube.Invalid) and await self._is_there(record):
                raise
            self.jobs.cache.forget(record.name, record.uid)
            raise JobNotFound(job_id) from None
        self.jobs.cache.upsert(found)
        return record_of(found)

    async def _is_there(self, record: JobRecord) -> bool:
        """A patch that names the uid is invalid where another job has the name by now."""
        found = await self.jobs.find(record.name, past_cache=True)
        return found.uid == record.uid


def refuses(record: JobRecord, verb: Verb) -> bool:
    """Whether the job has ended in another way than by this verb, or is being cancelled."""
    if not record.finished:
        return record.stop == "Cancel" and verb != "cancel"
    if verb == "stop" and record.stop == "KeepBest":
        return record.status != "cancelled" and not (record.end and record.end.stopped_early)
    return not (verb == "cancel" and record.status == "cancelled")
