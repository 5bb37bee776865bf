"""An accepted request becomes a job: the Secret first, then the payload, then the resource, which is what makes it one.

Nothing that was written stays when the resource is refused. When it is not known whether the resource was made, all
stays: the operator's sweep removes what belongs to no job.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from weakref import WeakValueDictionary

from dspy_service_api import idempotency
from dspy_service_api.cache import JobCache
from dspy_service_api.layout import Accepted, Draft, Identity, draft, owner_patch
from dspy_service_core import names
from dspy_service_core.errors import ClusterUnavailable, IdempotencyConflict, StoreError
from dspy_service_core.kube import errors as kube
from dspy_service_core.kube.protocol import KubeClient, Object
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS, SECRETS
from dspy_service_core.store import NotFound, Store

log = logging.getLogger(__name__)


class _OtherBody(Exception):
    """What an earlier request with the same key has written does not belong to this one's body."""


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
    accept: Callable[[bytes], Accepted]
    inline_bytes: int
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _by_key: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)
    _adoptions: set[asyncio.Task[None]] = field(default_factory=set)

    async def submit(self, body: bytes, key: str | None, submitter: str = "") -> Submitted:
        """`submitter` is the name that the cluster knows the client by."""
        accepted = await self._accepted(body)
        if key is None:
            job_id = str(uuid.uuid4())
            await self._write(draft(accepted, self._identity(job_id, submitter)))
        else:
            job_id = names.idempotent_job_id(self.namespace, key)
            lock = self._by_key.setdefault(key, asyncio.Lock())
            async with lock:
                await self._once(body, accepted, self._identity(job_id, submitter), key)
        return Submitted(job_id, accepted.unknown_keys)

    async def settle(self) -> None:
        """Before the process ends: what was left for after the answer."""
        await asyncio.gather(*self._adoptions)

    async def _accepted(self, body: bytes) -> Accepted:
        if len(body) <= self.inline_bytes:
            return self.accept(body)
        return await asyncio.to_thread(self.accept, body)

    def _identity(self, job_id: str, submitter: str) -> Identity:
        submitted_at = self.now().isoformat(timespec="microseconds").replace("+00:00", "Z")
        return Identity(job_id, self.namespace, submitted_at, submitter)

    async def _once(self, body: bytes, accepted: Accepted, identity: Identity, key: str) -> None:
        holds_credentials = bool(accepted.withheld or accepted.unknown_keys)
        digest = await asyncio.to_thread(idempotency.digest, body, identity.job_id, holds_credentials=holds_credentials)
        if (known := await self._digest_of(identity.name)) is None:
            try:
                await self._write(draft(accepted, replace(identity, digest=digest)))
                return
            except kube.AlreadyExists:  # another replica was faster
                known = await self._digest_of(identity.name)
            except _OtherBody:  # a faster one, or an earlier try that got no further
                raise IdempotencyConflict(key) from None
        if known != digest:
            raise IdempotencyConflict(key)

    async def _digest_of(self, name: str) -> str | None:
        if record := self.cache.get(name):
            return record.request_digest
        try:
            found = await self.cluster.get(OPTIMIZATION_JOBS, name, self.namespace)
        except kube.NotFound:
            return None
        self.cache.upsert(found)
        return _request_digest(found)

    async def _write(self, job: Draft) -> None:
        async with AsyncExitStack() as undo:
            if job.secret and await self._create_secret(job.secret):
                undo.push_async_callback(self._delete_secret, job.secret)
            if job.payload is not None and await self._is_new(job.payload_key, job.payload, job.resource):
                undo.push_async_callback(self._delete_folder, job.folder)
                await self.store.put_async(job.payload_key, job.payload, durable=True)
            try:
                created = await self._create(job)
            except (kube.AlreadyExists, ClusterUnavailable):
                undo.pop_all()  # all of it is another's, or may be the job's
                raise
            undo.pop_all()
        self.cache.upsert(created)
        if job.secret:
            self._adopt(job.secret, created)

    async def _create(self, job: Draft) -> Object:
        try:
            return await self.cluster.create(OPTIMIZATION_JOBS, job.resource, self.namespace)
        except kube.Unavailable as exc:
            if not exc.sent:
                raise
            return await self._look_again(job.name, exc)

    async def _look_again(self, name: str, cause: kube.Unavailable) -> Object:
        """The create was sent and no answer came: the cluster may have done it."""
        try:
            return await self.cluster.get(OPTIMIZATION_JOBS, name, self.namespace)
        except kube.KubeError:
            raise ClusterUnavailable(
                f"The cluster did not answer in time. The job may have been created, then as '{names.job_id(name)}'; "
                f"a request with an {idempotency.HEADER} can be sent again safely.",
                uncertain=True,
            ) from cause

    async def _create_secret(self, secret: Object) -> bool:
        """Whether it is new: a repeated request may find the one that its first try has left."""
        try:
            await self.cluster.create(SECRETS, secret, self.namespace)
            return True
        except kube.AlreadyExists:
            found = await self.cluster.get(SECRETS, secret["metadata"]["name"], self.namespace)
            if _request_digest(found) != _request_digest(secret):
                raise _OtherBody from None
            return False

    async def _is_new(self, key: str, payload: bytes, resource: Object) -> bool:
        """The same for the payload; only a repeated request can find one."""
        if not _request_digest(resource):
            return True
        try:
            found = await self.store.get_async(key)
        except NotFound:
            return True
        if found != payload:
            raise _OtherBody
        return False

    def _adopt(self, secret: Object, job: Object) -> None:
        """After the answer: it matters when the job is deleted, and the operator's sweep does it should this fail."""
        task = asyncio.create_task(self._make_owner(secret["metadata"]["name"], job))
        self._adoptions.add(task)
        task.add_done_callback(self._adoptions.discard)

    async def _make_owner(self, secret_name: str, job: Object) -> None:
        try:
            await self.cluster.patch(SECRETS, secret_name, owner_patch(job), self.namespace)
        except kube.KubeError as exc:
            log.warning("secret %s got no owner: %s", secret_name, exc)

    async def _delete_secret(self, secret: Object) -> None:
        try:
            await self.cluster.delete(SECRETS, secret["metadata"]["name"], self.namespace)
        except kube.KubeError as exc:
            log.warning("secret %s of a refused request stays: %s", secret["metadata"]["name"], exc)

    async def _delete_folder(self, folder: str) -> None:
        try:
            await self.store.delete_folder_async(folder)
        except StoreError as exc:
            log.warning("folder %s of a refused request stays: %s", folder, exc)


def _request_digest(obj: Object) -> str:
    return str((obj["metadata"].get("annotations") or {}).get(names.ANNOTATION_REQUEST_DIGEST, ""))
