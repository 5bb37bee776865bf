"""DELETE: the resource goes, with it (by ownership) the running attempt and the Secret, then the job's folders.

The resource first: once it is gone nobody may write for the job, and what a slow store or a last upload leaves is
found by the operator's sweep, which compares the store with the resources.
"""

import asyncio
import logging
from dataclasses import dataclass, field

from dspy_service_api.jobs import Jobs
from dspy_service_api.record import JobRecord
from dspy_service_core.errors import JobNotFound, StoreError
from dspy_service_core.kube import errors as kube
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS
from dspy_service_core.store import artifact_folder, job_folder

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Removals:
    jobs: Jobs
    wait_seconds: float
    _going: set[asyncio.Task[None]] = field(default_factory=set)

    async def remove(self, job_id: str) -> None:
        record = await self.jobs.find(job_id)
        try:
            await self.jobs.cluster.delete(OPTIMIZATION_JOBS, record.name, self.jobs.namespace, uid=record.uid)
        except (kube.NotFound, kube.Conflict):  # gone already, or another job has the name by now
            self.jobs.cache.forget(record.name, record.uid)
            raise JobNotFound(job_id) from None
        self.jobs.cache.forget(record.name, record.uid)
        task = asyncio.create_task(self._remove_folders(record))
        self._going.add(task)
        task.add_done_callback(self._going.discard)
        await asyncio.wait([task], timeout=self.wait_seconds)

    async def _remove_folders(self, record: JobRecord) -> None:
        for folder in (
            job_folder(record.namespace, record.store_id),
            artifact_folder(record.namespace, record.store_id),
        ):
            try:
                await self.jobs.store.delete_folder_async(folder)
            except StoreError as exc:
                log.warning("%s is left to the sweep: %s", folder, exc)
