"""Reads what was submitted of a job, for `GET /jobs/{job_id}/payload`: its resource, and its document in the store."""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from dspy_service_api.answers.job_answers import Jobs
from dspy_service_api.jobs.record import JobRecord, Json
from dspy_service_api.serve.memory import Work
from dspy_service_api.submit.request_again import RequestAgain, document_digests, request_again
from dspy_service_core.contract import request_size
from dspy_service_core.errors import NoPayload, StoreError
from dspy_service_core.storage import pod_files
from dspy_service_core.storage.store import NotFound, job_folder


@dataclass(frozen=True, slots=True)
class Payload:
    body: Json
    blanked: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Payloads:
    jobs: Jobs
    work: Work

    async def read(self, job_id: str) -> Payload:
        """Raises `NoPayload` for a resource whose content the API does not read, and `Busy`."""
        record = await self.jobs.find(job_id)
        job = await self.jobs.resource(record)
        digests = document_digests(job["spec"])
        if not digests:
            return _encoded(request_again(job, {}, record.seed))
        content = await self._document(record)
        async with self.work.of(request_size.weight(content)):
            return await asyncio.to_thread(_payload, job, content, digests, record)

    async def _document(self, record: JobRecord) -> bytes:
        try:
            return await self.jobs.store.get_async(_key(record))
        except NotFound:
            if record.kept_by:
                raise NoPayload("The job is deleted, and what was submitted with it.") from None
            raise StoreError(f"the store has lost '{_key(record)}'") from None


def _payload(job: Mapping[str, Any], content: bytes, digests: set[str], record: JobRecord) -> Payload:
    if digests != {f"sha256:{hashlib.sha256(content).hexdigest()}"}:
        raise StoreError(f"'{_key(record)}' in the store is not what the job's spec says")
    try:
        return _encoded(request_again(job, orjson.loads(content), record.seed))
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise StoreError(f"'{_key(record)}' in the store is broken") from None


def _encoded(request: RequestAgain) -> Payload:
    return Payload(orjson.dumps(request.body), request.blanked)


def _key(record: JobRecord) -> str:
    return f"{job_folder(record.namespace, record.store_id)}/{pod_files.PAYLOAD}"
