"""Reads a job for an answer: its record from the cache (from the cluster if the cache lacks it), its logs, events and
artifact from the store."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import orjson

from dspy_service_api.answers import present
from dspy_service_api.answers.answer_cache import Answer, AnswerCache, key_of
from dspy_service_api.jobs.artifact import Artifact, read_artifact, read_files
from dspy_service_api.jobs.best import read_best
from dspy_service_api.jobs.cache import JobCache
from dspy_service_api.jobs.record import JobRecord, Json
from dspy_service_api.jobs.rows import RowPages, Which
from dspy_service_api.jobs.transcript import Kind, Transcript
from dspy_service_api.jobs.tried import Tried
from dspy_service_core.errors import JobNotFinished, JobNotFound, NoArtifact, NoBestYet, StoreError
from dspy_service_core.kube import errors as kube
from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.protocol import Object
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS
from dspy_service_core.records.record import read
from dspy_service_core.records.run import ResultDocument
from dspy_service_core.resource import names
from dspy_service_core.storage.store import NotFound, Store, job_folder

_OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
"""The names that Kubernetes allows; about any other the cluster is not asked."""
_RESULT = "result.json"


@dataclass(frozen=True, slots=True)
class Jobs:
    cluster: KubeClient
    cache: JobCache
    store: Store
    namespace: str
    newest: int
    row_pages: RowPages
    answers: AnswerCache = field(default_factory=lambda: AnswerCache(0))
    tried: Tried = field(default_factory=Tried)

    async def find(self, job_id: str, *, past_cache: bool = False) -> JobRecord:
        if not _OBJECT_NAME.fullmatch(job_id):
            raise JobNotFound(job_id)
        name = names.resource_name(job_id)
        record = (None if past_cache else self.cache.get(name)) or await self._ask(name)
        if record is None:
            raise JobNotFound(job_id)
        return record

    def id_of(self, typed: str) -> str:
        """The id of the job that is called so. What is an id already stays as it is, and so does what nobody knows."""
        if names.is_bare_uuid(typed) or self.cache.get(typed):
            return typed
        record = self.cache.called(typed)
        return record.job_id if record else typed

    async def summary(self, job_id: str) -> Answer:
        record = await self.find(job_id)
        return Answer.of(present.summary(record, self.cache.position(record)))

    async def detail(self, job_id: str) -> Answer:
        return await self.detail_of(await self.find(job_id))

    async def detail_of(self, record: JobRecord) -> Answer:
        if not record.settled:
            return Answer.of(await self._detail(record))
        if (answer := self.answers.get(key_of("job", record))) is None:
            answer = Answer.of(await self._detail(record))
            self.answers.put(key_of("job", record), answer)
        return answer

    async def transcript(self, job_id: str, kind: Kind) -> Json:
        return await self._newest(await self.find(job_id), kind)

    async def page(self, job_id: str, kind: Kind, after: int, limit: int) -> Json:
        return await Transcript(self.store, await self.find(job_id), kind).after(after, limit)

    async def candidates_in_brief(self, job_id: str, after: int, limit: int) -> Json:
        return await self.tried.brief(Transcript(self.store, await self.find(job_id), "candidates"), after, limit)

    async def artifact(self, job_id: str) -> Answer:
        record = await self._finished(job_id)
        if (answer := self.answers.get(key_of("artifact", record))) is None:
            answer = Answer.of(present.artifact(await read_artifact(self.store, record)))
            if record.settled:
                self.answers.put(key_of("artifact", record), answer)
        return answer

    async def best(self, job_id: str) -> Answer:
        """The best program so far; of a job that has made one, its artifact."""
        record = await self.find(job_id)
        if not record.keeps_result and (found := await read_best(self.store, record)) is not None:
            return Answer.of(present.artifact(found))
        if not record.finished and not (record := await self.find(job_id, past_cache=True)).finished:
            raise NoBestYet
        return await self.artifact(job_id)

    async def program_files(self, job_id: str, wanted: Collection[str]) -> Mapping[str, bytes]:
        """Those of a finished job's artifact; the program's state is always among what it has."""
        return await read_files(self.store, await self._finished(job_id), wanted)

    async def secret_names(self, job_id: str) -> tuple[str, ...]:
        """The variables of the job's code that come from a Secret."""
        found = await self.resource(await self.find(job_id))
        return tuple(found["spec"].get("secrets") or ())

    async def resource(self, record: JobRecord) -> Object:
        """Asked for anew, because a record has no sources, rows and secrets."""
        try:
            return await self.cluster.get(OPTIMIZATION_JOBS, record.name, record.namespace)
        except kube.NotFound:
            raise JobNotFound(record.job_id) from None

    async def rows(self, job_id: str, which: Which, after: int | None, limit: int) -> Json:
        return present.rows(await self.row_pages.read(await self._finished(job_id), which, after, limit))

    async def _finished(self, job_id: str) -> JobRecord:
        record = await self.find(job_id)
        if not record.finished:  # the client may know of the end from another replica, before this one's watch does
            record = await self.find(job_id, past_cache=True)
        if not record.finished:
            raise JobNotFinished
        return record

    async def _ask(self, name: str) -> JobRecord | None:
        try:
            found = await self.cluster.get(OPTIMIZATION_JOBS, name, self.namespace)
        except kube.NotFound:
            return None
        self.cache.upsert(found)
        return self.cache.get(name)

    async def _detail(self, record: JobRecord) -> Json:
        events, logs = await self._newest(record, "events"), await self._newest(record, "logs")
        result = await self._result(record, logs) if record.finished else None
        return present.detail(record, self.cache.position(record), events, logs, result)

    async def _newest(self, record: JobRecord, kind: Kind) -> Json:
        return await Transcript(self.store, record, kind).newest(self.newest)

    async def _result(self, record: JobRecord, logs: Json) -> Json:
        return present.run_response(record, await self._result_file(record), await self._artifact(record), logs)

    async def _artifact(self, record: JobRecord) -> Artifact | None:
        try:
            return await read_artifact(self.store, record)
        except NoArtifact:
            return None

    async def _result_file(self, record: JobRecord) -> ResultDocument | None:
        """None for a run that died without a result; then the answer has only what the record holds. A run that
        reported a result has stored this file before, so a missing one is an error."""
        key = f"{job_folder(record.namespace, record.store_id)}/{_RESULT}"
        if not record.attempted:
            return None
        try:
            found = read(ResultDocument, orjson.loads(await self.store.get_async(key)))
        except NotFound:
            if record.end and not record.kept_by:
                raise StoreError(f"the store has lost '{key}'") from None
            return None
        except orjson.JSONDecodeError:
            found = None
        if found is None:
            raise StoreError(f"'{key}' in the store is broken")
        return found
