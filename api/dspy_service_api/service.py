"""Everything that the endpoints use. Made once at the start (`http/app.py`) and kept on the application."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast

from starlette.requests import Request

from dspy_service_api.answers.job_answers import Jobs
from dspy_service_api.background import Background
from dspy_service_api.control.control import Control
from dspy_service_api.control.remove import Removals
from dspy_service_api.jobs.cache import JobCache
from dspy_service_api.jobs.record import Json
from dspy_service_api.serve.streams import Streams
from dspy_service_api.settings import Settings
from dspy_service_api.submit.payloads import Payloads
from dspy_service_api.submit.submits import Submits
from dspy_service_core.errors import ClusterUnavailable
from dspy_service_core.kube.reflector import Reflector


@dataclass(frozen=True, slots=True)
class Service:
    settings: Settings
    cache: JobCache
    reflector: Reflector
    jobs: Jobs
    submits: Submits
    payloads: Payloads
    removals: Removals
    control: Control
    streams: Streams
    health: Json
    catalogue: Callable[[], Awaitable[Json]]
    """Made when it is asked for first."""
    background: Background

    async def run(self) -> None:
        """Runs the background tasks; returns only when one of them has died."""
        ahead = self.settings.answer_cache_bytes > 0 and self.settings.store_url.startswith("file:")
        kept = self.jobs.answers.follow(self.cache.changes, self.jobs.detail_of if ahead else None)
        await self.background.run({"the watch of the jobs": self.reflector.run(), "the cache of answers": kept})

    async def close(self) -> None:
        await self.jobs.cluster.close()

    def require_ready(self) -> None:
        """Raises `ClusterUnavailable` while the cache may be out of date."""
        if self.background.died:
            raise ClusterUnavailable(f"The service has to be started again: {self.background.died}.")
        if not self.reflector.synced.is_set():
            raise ClusterUnavailable("The service is still reading the jobs from the cluster.")
        silent = time.monotonic() - self.reflector.last_seen
        if silent > self.settings.stale_after_seconds:
            raise ClusterUnavailable(f"The cluster has not been heard of for {silent:.0f} seconds.")


def service_of(request: Request) -> Service:
    return cast(Service, request.app.state.service)
