"""Deletes Jobs of batch/v1 that still run although their `OptimizationJob` has ended: the pod reported and did not
stop.

Usually a pod ends within a second of its report. A thread of user code that never returns would otherwise keep
resources of the node.
"""

from collections.abc import Callable

from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.errors import Conflict, NotFound
from dspy_service_core.kube.resources import JOBS, OPTIMIZATION_JOBS
from dspy_service_core.resource import names
from dspy_service_operator.queue.queue import Key
from dspy_service_operator.watch.view import ClusterView

PATIENCE_SECONDS = 60.0


class Lingering:
    """Remembers since when each of them is left over; `clock` counts seconds."""

    def __init__(self, client: KubeClient, view: ClusterView, clock: Callable[[], float]) -> None:
        self._client = client
        self._view = view
        self._clock = clock
        self._since: dict[Key, float] = {}

    async def check(self, key: Key, patience: float = PATIENCE_SECONDS) -> float | None:
        """For a job that the view does not hold (any more). Returns in how many seconds to look again, or None."""
        active = [job for job in self._view.jobs.of(key) if job.active]
        if not active:
            self._since.pop(key, None)
            return None
        left = self._since.setdefault(key, self._clock()) + patience - self._clock()
        if left > 0:
            return left
        del self._since[key]
        if not await self._ended(key):
            return None
        for job in active:
            try:
                await self._client.delete(JOBS, job.name, key[0], uid=job.uid)
            except (NotFound, Conflict):
                continue
        return None

    async def _ended(self, key: Key) -> bool:
        """Asks the cluster, since the view may just have missed the resource. If it is gone, its Jobs go with it."""
        try:
            raw = await self._client.get(OPTIMIZATION_JOBS, key[1], key[0])
        except NotFound:
            return False
        return names.LABEL_FINISHED in (raw["metadata"].get("labels") or {})
