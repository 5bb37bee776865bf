"""One submit from its body to its job: parse and check the body, give the job its id, write its objects.

With an `Idempotency-Key`, the id follows from the key, so that a repeated request finds the job of the first one.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from weakref import WeakValueDictionary

from dspy_service_api.serve.memory import Work
from dspy_service_api.submit import idempotency
from dspy_service_api.submit.earlier_jobs import EarlierJobs, NotPermitted
from dspy_service_api.submit.job_objects import AcceptedRequest, JobIdentity, draft
from dspy_service_api.submit.outlook import Outlook
from dspy_service_api.submit.write_job import JobWriter, OtherBody, request_digest
from dspy_service_core.contract import request_size
from dspy_service_core.contract.request_size import Body
from dspy_service_core.errors import IdempotencyConflict, JobNotFound, UnusableRequest
from dspy_service_core.kube import errors as kube
from dspy_service_core.resource import names


@dataclass(frozen=True, slots=True)
class Submitted:
    job_id: str
    unknown_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Submits:
    writer: JobWriter
    accept: Callable[[Body, EarlierJobs], Awaitable[AcceptedRequest]]
    work: Work
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _by_id: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    async def submit(self, body: Body, key: str | None, earlier: EarlierJobs, submitter: str = "") -> Submitted:
        """`submitter` is the client's name in the cluster; every client has idempotency keys of its own. Raises
        `Busy`."""
        async with self.work.of(request_size.weight(body)):
            return await self._submit(body, key, earlier, submitter)

    async def rehearse(self, body: Body, key: str | None, earlier: EarlierJobs, submitter: str = "") -> Outlook:
        """All that could refuse a submit, and nothing of it is written."""
        async with self.work.of(request_size.weight(body)):
            accepted = await self.accept(body, earlier)
            if key is None or not await self._is_made(body, accepted, key, submitter):
                await self.writer.rehearse(draft(accepted, self._identity(str(uuid.uuid4()), submitter)))
            return accepted.outlook()

    async def _is_made(self, body: Body, accepted: AcceptedRequest, key: str, submitter: str) -> bool:
        """Whether a submit would make nothing, because the key's job is there. Raises `IdempotencyConflict`."""
        identity = self._identity(names.idempotent_job_id(self.writer.namespace, key, submitter), submitter)
        known = await self.writer.known(identity.name)
        if known is not None and request_digest(known) != await _digest(body, accepted, identity):
            raise IdempotencyConflict(key)
        return known is not None

    async def _submit(self, body: Body, key: str | None, earlier: EarlierJobs, submitter: str) -> Submitted:
        try:
            accepted = await self.accept(body, earlier)
        except (JobNotFound, NotPermitted, UnusableRequest):
            if key is None or (made := await self._made_before(body, key, submitter)) is None:
                raise
            return made
        if key is None:
            job_id = str(uuid.uuid4())
            await self.writer.write(draft(accepted, self._identity(job_id, submitter)))
        else:
            job_id = names.idempotent_job_id(self.writer.namespace, key, submitter)
            lock = self._by_id.setdefault(job_id, asyncio.Lock())
            async with lock:
                await self._once(body, accepted, self._identity(job_id, submitter), key)
        return Submitted(job_id, accepted.unknown_keys)

    async def _made_before(self, body: Body, key: str, submitter: str) -> Submitted | None:
        """What the first request took from earlier jobs may be gone since; its job has a copy."""
        job_id = names.idempotent_job_id(self.writer.namespace, key, submitter)
        if (known := await self.writer.known(names.api_job(job_id))) is None:
            return None
        kept = request_digest(known)
        digest = await asyncio.to_thread(idempotency.digest, body, job_id, holds_credentials=idempotency.is_slow(kept))
        return Submitted(job_id, ()) if digest == kept else None

    def _identity(self, job_id: str, submitter: str) -> JobIdentity:
        submitted_at = self.now().isoformat(timespec="microseconds").replace("+00:00", "Z")
        return JobIdentity(job_id, self.writer.namespace, submitted_at, submitter)

    async def _once(self, body: Body, accepted: AcceptedRequest, identity: JobIdentity, key: str) -> None:
        digest = await _digest(body, accepted, identity)
        job = draft(accepted, replace(identity, digest=digest))
        if (known := await self.writer.known(job.name)) is None:
            try:
                await self.writer.write(job)
                return
            except kube.AlreadyExists:  # another replica was faster
                known = await self.writer.known(job.name)
            except OtherBody:  # a faster one, or an earlier try that got no further
                raise IdempotencyConflict(key) from None
        if known is None or request_digest(known) != digest:
            raise IdempotencyConflict(key)
        if job.secret:  # the first try may have got no further than the resource
            await self.writer.create_secret(job.secret, known)


async def _digest(body: Body, accepted: AcceptedRequest, identity: JobIdentity) -> str:
    holds_credentials = bool(accepted.kept_secret or accepted.unknown_keys)
    return await asyncio.to_thread(idempotency.digest, body, identity.job_id, holds_credentials=holds_credentials)
