"""DELETE: removes the resource, with it (by ownership) the running attempt and the Secret, and then the job's folders.

The resource goes first, because without it nobody may write for the job any more. A running pod may still be uploading,
so the folders are removed a second time after it has ended. Whatever remains after that (the store was slow, or this
process ended) is found by the operator's sweep, which compares the store with the resources. If somebody's finalizers
keep the resource, the operator ends the attempt, and everything stored is removed all the same.
"""

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from dspy_service_api.answers.job_answers import Jobs
from dspy_service_api.jobs.record import JobRecord
from dspy_service_core.errors import JobNotFound, StoreError
from dspy_service_core.kube import errors as kube
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS
from dspy_service_core.storage.store import artifact_folder, job_folder

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Removals:
    jobs: Jobs
    wait_seconds: float
    last_upload_seconds: float
    _going: set[asyncio.Task[None]] = field(default_factory=set)

    async def remove(self, job_id: str) -> tuple[str, ...]:
        """Returns the finalizers that keep the record; usually there are none."""
        record = await self.jobs.find(job_id)
        try:
            await self.jobs.cluster.delete(OPTIMIZATION_JOBS, record.name, self.jobs.namespace, uid=record.uid)
        except (kube.NotFound, kube.Conflict):  # gone already, or another job has the name by now
            self.jobs.cache.forget(record.name, record.uid)
            raise JobNotFound(job_id) from None
        removed = self._spawn(self._remove_folders(record))
        if not record.finished:
            self._spawn(self._remove_again(record))
        kept_by = await self._kept_by(record)
        await asyncio.wait([removed], timeout=self.wait_seconds)
        return kept_by

    async def _kept_by(self, record: JobRecord) -> tuple[str, ...]:
        """Asks the cluster, since the cache may not know of a finalizer yet."""
        try:
            found = await self.jobs.cluster.get(OPTIMIZATION_JOBS, record.name, self.jobs.namespace)
        except kube.NotFound:
            found = {"metadata": {}}
        metadata = found["metadata"]
        if metadata.get("uid") == record.uid and (finalizers := metadata.get("finalizers")):
            self.jobs.cache.upsert(found)
            return tuple(finalizers)
        self.jobs.cache.forget(record.name, record.uid)
        return ()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._going.add(task)
        task.add_done_callback(self._going.discard)
        return task

    async def _remove_again(self, record: JobRecord) -> None:
        await asyncio.sleep(self.last_upload_seconds)
        await self._remove_folders(record)

    async def _remove_folders(self, record: JobRecord) -> None:
        for folder in (
            job_folder(record.namespace, record.store_id),
            artifact_folder(record.namespace, record.store_id),
        ):
            try:
                await self.jobs.store.delete_folder_async(folder)
            except StoreError as exc:
                log.warning("%s is left to the sweep: %s", folder, exc)
