"""Writes an accepted request as a job: first the payload, then the resource, then the Secret.

The Secret comes last because it names the resource as its owner from the beginning (setting the owner later would cost
one more write for every job); the operator waits a moment for it. If a step is refused, everything written before is
removed again. If it is unknown whether the resource was made, everything stays: the operator's sweep removes what
belongs to no job, and the operator ends a job that was left without its Secret.
"""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from weakref import WeakValueDictionary

from dspy_service_api.jobs.cache import JobCache
from dspy_service_api.serve.memory import Work
from dspy_service_api.submit import idempotency
from dspy_service_api.submit.job_objects import AcceptedRequest, JobIdentity, JobObjects, draft, owned
from dspy_service_core.contract import request_size
from dspy_service_core.contract.request_size import Body
from dspy_service_core.errors import ClusterUnavailable, IdempotencyConflict, StoreError
from dspy_service_core.kube import errors as kube
from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.protocol import Object
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS, SECRETS
from dspy_service_core.resource import names
from dspy_service_core.storage.store import NotFound, Store

log = logging.getLogger(__name__)


class _OtherBody(Exception):
    """An earlier request with the same key has stored another body's payload."""


@dataclass(frozen=True, slots=True)
class Submitted:
    job_id: str
    unknown_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Submits:
    cluster: KubeClient
    cache: JobCache
    store: Store
    namespace: str
    accept: Callable[[Body], Awaitable[AcceptedRequest]]
    work: Work
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _by_id: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    async def submit(self, body: Body, key: str | None, submitter: str = "") -> Submitted:
        """`submitter` is the client's name in the cluster; every client has idempotency keys of its own. Raises
        `Busy`."""
        async with self.work.of(request_size.weight(body)):
            return await self._submit(body, key, submitter)

    async def _submit(self, body: Body, key: str | None, submitter: str) -> Submitted:
        accepted = await self.accept(body)
        if key is None:
            job_id = str(uuid.uuid4())
            await self._write(draft(accepted, self._identity(job_id, submitter)))
        else:
            job_id = names.idempotent_job_id(self.namespace, key, submitter)
            lock = self._by_id.setdefault(job_id, asyncio.Lock())
            async with lock:
                await self._once(body, accepted, self._identity(job_id, submitter), key)
        return Submitted(job_id, accepted.unknown_keys)

    def _identity(self, job_id: str, submitter: str) -> JobIdentity:
        submitted_at = self.now().isoformat(timespec="microseconds").replace("+00:00", "Z")
        return JobIdentity(job_id, self.namespace, submitted_at, submitter)

    async def _once(self, body: Body, accepted: AcceptedRequest, identity: JobIdentity, key: str) -> None:
        holds_credentials = bool(accepted.withheld or accepted.unknown_keys)
        digest = await asyncio.to_thread(idempotency.digest, body, identity.job_id, holds_credentials=holds_credentials)
        job = draft(accepted, replace(identity, digest=digest))
        if (known := await self._known(job.name)) is None:
            try:
                await self._write(job)
                return
            except kube.AlreadyExists:  # another replica was faster
                known = await self._known(job.name)
            except _OtherBody:  # a faster one, or an earlier try that got no further
                raise IdempotencyConflict(key) from None
        if known is None or _request_digest(known) != digest:
            raise IdempotencyConflict(key)
        if job.secret:  # the first try may have got no further than the resource
            await self._create_secret(job.secret, known)

    async def _known(self, name: str) -> Object | None:
        try:
            found = await self.cluster.get(OPTIMIZATION_JOBS, name, self.namespace)
        except kube.NotFound:
            return None
        self.cache.upsert(found)
        return found

    async def _write(self, job: JobObjects) -> None:
        async with AsyncExitStack() as undo:
            if job.payload is not None and await self._is_new(job.payload_key, job.payload, job.resource):
                undo.push_async_callback(self._delete_folder, job.folder)
                await self.store.put_async(job.payload_key, job.payload, durable=True)
            try:
                created = await self._create(job)
            except (kube.AlreadyExists, ClusterUnavailable):
                undo.pop_all()  # what was written belongs to another request's job, or the job may exist after all
                raise
            if job.secret:
                undo.push_async_callback(self._delete_job, created)
                await self._create_secret(job.secret, created)
            undo.pop_all()
        self.cache.upsert(created)

    async def _create(self, job: JobObjects) -> Object:
        try:
            return await self.cluster.create(OPTIMIZATION_JOBS, job.resource, self.namespace)
        except kube.Unavailable as exc:
            if not exc.sent:
                raise
            return await self._look_again(job.name, exc)

    async def _look_again(self, name: str, cause: kube.Unavailable) -> Object:
        """The create was sent and no answer came, so the job may exist."""
        try:
            return await self.cluster.get(OPTIMIZATION_JOBS, name, self.namespace)
        except kube.KubeError:
            raise ClusterUnavailable(
                f"The cluster did not answer in time. The job may have been created, then as '{names.job_id(name)}'; "
                f"a request with an {idempotency.HEADER} can be sent again safely.",
                uncertain=True,
            ) from cause

    async def _create_secret(self, secret: Object, job: Object) -> None:
        """An existing Secret of that name is either this job's, from an earlier try, or left by a deleted job of the
        same name; that one is replaced."""
        try:
            await self.cluster.create(SECRETS, owned(secret, job), self.namespace)
        except kube.AlreadyExists:
            name, owner = secret["metadata"]["name"], job["metadata"]["uid"]
            found = (await self.cluster.get(SECRETS, name, self.namespace))["metadata"]
            if owner not in {reference["uid"] for reference in found.get("ownerReferences") or ()}:
                await self.cluster.delete(SECRETS, name, self.namespace, uid=found["uid"])
                await self.cluster.create(SECRETS, owned(secret, job), self.namespace)

    async def _is_new(self, key: str, payload: bytes, resource: Object) -> bool:
        """Whether the payload has to be written. A repeated request may find its own payload there, or another's."""
        if not _request_digest(resource):
            return True
        try:
            found = await self.store.get_async(key)
        except NotFound:
            return True
        if found != payload:
            raise _OtherBody
        return False

    async def _delete_job(self, job: Object) -> None:
        name = job["metadata"]["name"]
        self.cache.forget(name, job["metadata"]["uid"])
        try:
            await self.cluster.delete(OPTIMIZATION_JOBS, name, self.namespace, uid=job["metadata"]["uid"])
        except kube.KubeError as exc:
            log.warning("job %s of a refused request stays, without its Secret: %s", name, exc)

    async def _delete_folder(self, folder: str) -> None:
        try:
            await self.store.delete_folder_async(folder)
        except StoreError as exc:
            log.warning("folder %s of a refused request stays: %s", folder, exc)


def _request_digest(obj: Object) -> str:
    return str((obj["metadata"].get("annotations") or {}).get(names.ANNOTATION_REQUEST_DIGEST, ""))
