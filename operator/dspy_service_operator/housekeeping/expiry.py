"""Removes records of finished jobs after their TTL. Timers serve those that expire soon; the sweep finds all others.

A record made with kubectl is removed only if its spec asks for it, because tools such as GitOps would apply it again.
"""

import asyncio
import heapq
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.errors import Conflict, KubeError, NotFound
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS
from dspy_service_core.resource import names
from dspy_service_core.resource.conditions import parse_time
from dspy_service_operator.settings import OperatorSettings

log = logging.getLogger(__name__)

_SHORTEST_WAIT = 0.05
_RETRY_SECONDS = 30.0


def expires_at(raw: Mapping[str, Any], settings: OperatorSettings) -> datetime | None:
    """When the record is to be removed; None if never, or if the job has not finished. It reads plain dicts, since a
    sweep looks at many."""
    ended = parse_time((raw.get("status") or {}).get("completedAt"))
    if ended is None:
        return None
    ttl = ((raw.get("spec") or {}).get("run") or {}).get("ttlSeconds")
    if ttl is None and (raw["metadata"].get("labels") or {}).get(names.LABEL_SUBMITTED_BY) == names.SUBMITTED_BY_API:
        ttl = settings.ttl_seconds
    return None if ttl is None else ended + timedelta(seconds=ttl)


class Expiry:
    def __init__(self, client: KubeClient, settings: OperatorSettings, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._settings = settings
        self._clock = clock
        self._due: list[tuple[datetime, str, str, str]] = []
        self._known: set[str] = set()
        self._sooner = asyncio.Event()

    def watch(self, raw: Mapping[str, Any]) -> None:
        """Sets a timer for a finished record, unless it expires so late that a sweep will see it before."""
        metadata = raw["metadata"]
        at = expires_at(raw, self._settings)
        horizon = self._clock() + timedelta(seconds=2 * self._settings.sweep_seconds)
        if at is None or at > horizon or metadata["uid"] in self._known:
            return
        self._known.add(metadata["uid"])
        heapq.heappush(self._due, (at, metadata["namespace"], metadata["name"], metadata["uid"]))
        self._sooner.set()

    async def run(self) -> None:
        while True:
            self._sooner.clear()
            await self.remove_due()
            wait = (self._due[0][0] - self._clock()).total_seconds() if self._due else None
            try:
                async with asyncio.timeout(None if wait is None else max(wait, _SHORTEST_WAIT)):
                    await self._sooner.wait()
            except TimeoutError:
                continue

    async def remove_due(self) -> None:
        while self._due and self._due[0][0] <= self._clock():
            _, namespace, name, uid = heapq.heappop(self._due)
            self._known.discard(uid)
            try:
                await self._client.delete(OPTIMIZATION_JOBS, name, namespace, uid=uid)
                log.info("%s/%s: its record has expired", namespace, name)
            except (NotFound, Conflict):
                continue
            except KubeError as exc:
                log.warning("%s/%s has expired, and cannot be removed yet: %s", namespace, name, exc)
                later = self._clock() + timedelta(seconds=_RETRY_SECONDS)
                self._known.add(uid)
                heapq.heappush(self._due, (later, namespace, name, uid))
                return
