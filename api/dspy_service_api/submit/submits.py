"""One submit from its body to its job: parse and check the body, give the job its id, write its objects.

With an `Idempotency-Key`, the id follows from the key, so that a repeated request finds the job of the first one.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from weakref import WeakValueDictionary

from dspy_service_api.serve.memory import Work
from dspy_service_api.submit import idempotency
from dspy_service_api.submit.earlier_jobs import EarlierJobs, NotPermitted
from dspy_service_api.submit.job_objects import AcceptedRequest, JobIdentity, JobObjects, draft
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
            drafted, outlook = await self._rehearsed(body, earlier, self._identity(key, submitter))
            if key is None or not await self._is_made(body, drafted, key):
                await self.writer.rehearse(drafted.job)
            return outlook

    async def _rehearsed(self, body: Body, earlier: EarlierJobs, identity: JobIdentity) -> tuple["_Drafted", Outlook]:
        accepted = await self.accept(body, earlier)
        return _Drafted.of(accepted, identity), accepted.outlook()

    async def _is_made(self, body: Body, drafted: "_Drafted", key: str) -> bool:
        """Whether a submit would make nothing, because the key's job is there. Raises `IdempotencyConflict`."""
        known = await self.writer.known(drafted.job.name)
        if known is not None and request_digest(known) != await _digest(body, drafted):
            raise IdempotencyConflict(key)
        return known is not None

    async def _submit(self, body: Body, key: str | None, earlier: EarlierJobs, submitter: str) -> Submitted:
        identity = self._identity(key, submitter)
        try:
            drafted = _Drafted.of(await self.accept(body, earlier), identity)
        except (JobNotFound, NotPermitted, UnusableRequest):
            if key is None or (made := await self._made_before(body, identity)) is None:
                raise
            return made
        if key is None:
            await self.writer.write(drafted.job)
        else:
            lock = self._by_id.setdefault(identity.job_id, asyncio.Lock())
            async with lock:
                await self._once(body, drafted, key)
        return Submitted(identity.job_id, drafted.unknown_keys)

    async def _made_before(self, body: Body, identity: JobIdentity) -> Submitted | None:
        """What the first request took from earlier jobs may be gone since; its job has a copy."""
        if (known := await self.writer.known(identity.name)) is None:
            return None
        kept = request_digest(known)
        slow = idempotency.is_slow(kept)
        digest = await asyncio.to_thread(idempotency.digest, body, identity.job_id, holds_credentials=slow)
        return Submitted(identity.job_id, ()) if digest == kept else None

    def _identity(self, key: str | None, submitter: str) -> JobIdentity:
        namespace = self.writer.namespace
        job_id = str(uuid.uuid4()) if key is None else names.idempotent_job_id(namespace, key, submitter)
        submitted_at = self.now().isoformat(timespec="microseconds").replace("+00:00", "Z")
        return JobIdentity(job_id, namespace, submitted_at, submitter)

    async def _once(self, body: Body, drafted: "_Drafted", key: str) -> None:
        digest = await _digest(body, drafted)
        job = drafted.job.with_digest(digest)
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


@dataclass(frozen=True, slots=True)
class _Drafted:
    """What is written of a request, without the values that it was read as: those of its rows take up to four times the
    body, and its digest as much again."""

    job: JobObjects
    job_id: str
    unknown_keys: tuple[str, ...]

    @classmethod
    def of(cls, accepted: AcceptedRequest, identity: JobIdentity) -> "_Drafted":
        return cls(draft(accepted, identity), identity.job_id, accepted.unknown_keys)


async def _digest(body: Body, drafted: _Drafted) -> str:
    holds_credentials = bool(drafted.job.secret or drafted.unknown_keys)
    return await asyncio.to_thread(idempotency.digest, body, drafted.job_id, holds_credentials=holds_credentials)
