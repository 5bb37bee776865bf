"""Writes an accepted request as a job: first the payload, then the resource, then the Secret.

The Secret comes last because it names the resource as its owner from the beginning (setting the owner later would cost
one more write for every job); the operator waits a moment for it. If a step is refused, everything written before is
removed again. If it is unknown whether the resource was made, everything stays: the operator's sweep removes what
belongs to no job, and the operator ends a job that was left without its Secret.
"""

import logging
from contextlib import AsyncExitStack
from dataclasses import dataclass

from dspy_service_api.jobs.cache import JobCache
from dspy_service_api.jobs.from_resource import record_of
from dspy_service_api.submit import idempotency
from dspy_service_api.submit.job_objects import JobObjects, owned
from dspy_service_core.errors import ClusterUnavailable, NameTaken, StoreError
from dspy_service_core.kube import errors as kube
from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.protocol import Object
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS, SECRETS
from dspy_service_core.resource import names
from dspy_service_core.storage.store import NotFound, Store

log = logging.getLogger(__name__)


class OtherBody(Exception):
    """An earlier request with the same key has stored another body's payload."""


@dataclass(frozen=True, slots=True)
class JobWriter:
    cluster: KubeClient
    cache: JobCache
    store: Store
    namespace: str

    async def known(self, name: str) -> Object | None:
        try:
            found = await self.cluster.get(OPTIMIZATION_JOBS, name, self.namespace)
        except kube.NotFound:
            return None
        self.cache.upsert(found)
        return found

    async def write(self, job: JobObjects) -> None:
        """Raises `NameTaken`, with nothing written."""
        if self._is_known_to_be_taken(job):
            raise NameTaken(job.called)
        async with AsyncExitStack() as undo:
            if job.payload is not None and await self._is_new(job.payload_key, job.payload, job.resource):
                undo.push_async_callback(self._delete_folder, job.folder)
                await self.store.put_async(job.payload_key, job.payload, durable=True)
            try:
                created = await self._create(job)
            except (kube.AlreadyExists, ClusterUnavailable):
                undo.pop_all()  # what was written belongs to another request's job, or the job may exist after all
                raise
            undo.push_async_callback(self._delete_job, created)
            if job.called and await self._is_taken(job.called, created):
                raise NameTaken(job.called)
            if job.secret:
                await self.create_secret(job.secret, created)
            undo.pop_all()
        self.cache.upsert(created)

    async def rehearse(self, job: JobObjects) -> None:
        """The cluster's own checks: of the schema, of policies and of quotas. A name that another replica has given a
        moment ago is found by the submit alone. Raises `NameTaken`."""
        if self._is_known_to_be_taken(job):
            raise NameTaken(job.called)
        await self.cluster.create(OPTIMIZATION_JOBS, job.resource, self.namespace, dry_run=True)

    def _is_known_to_be_taken(self, job: JobObjects) -> bool:
        """Not by this very job, which another replica may have made a moment ago for the same key."""
        known = self.cache.called(job.called)
        live = known is not None and not known.finished and known.name != job.name
        return live or self.cache.get(job.called) is not None

    async def _is_taken(self, called: str, created: Object) -> bool:
        """Whether another job may have had the name when this one was made, which no cache of a replica knows at once.

        Of two that are made at the same time the later one gives way. Where nobody can tell which that is, because the
        other has been changed since, this one does.
        """
        selector = f"{names.LABEL_NAME}={called}"
        found = await self.cluster.list(OPTIMIZATION_JOBS, self.namespace, label_selector=selector)
        others = [other for other in found.items if other["metadata"]["uid"] != created["metadata"]["uid"]]
        return any(not (record_of(other).finished or _is_later(other, created)) for other in others)

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

    async def create_secret(self, secret: Object, job: Object) -> None:
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
        if not request_digest(resource):
            return True
        try:
            found = await self.store.get_async(key)
        except NotFound:
            return True
        if found != payload:
            raise OtherBody
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


def _is_later(other: Object, created: Object) -> bool:
    """Certain only while nobody has written to the other: its version is then that of its creation."""
    version, own = other["metadata"]["resourceVersion"], created["metadata"]["resourceVersion"]
    return not other.get("status") and version.isdigit() and own.isdigit() and int(version) > int(own)


def request_digest(obj: Object) -> str:
    return str((obj["metadata"].get("annotations") or {}).get(names.ANNOTATION_REQUEST_DIGEST, ""))
