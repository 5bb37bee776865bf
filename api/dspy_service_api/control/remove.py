"""DELETE: the resource goes, with it (by ownership) the running attempt and the Secret, then the job's folders.

The resource first: once it is gone nobody may write for the job. A running pod may have an upload under way, so its
folders are removed once more when it has ended; what is left even then (a slow store, this process's own end) is found
by the operator's sweep, which compares the store with the resources. Where somebody's finalizers keep the resource, the
operator ends the attempt, and all that was stored goes all the same.
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
        """The finalizers that keep its record: usually none do."""
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
        """Looked up, as the cache may not have heard of a finalizer; the operator hears of it by its watch."""
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
