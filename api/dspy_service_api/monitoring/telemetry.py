"""What the API measures while it works. This class ignores all of it, for when metrics are off; `metrics.py` counts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dspy_service_api.service import Service


class Telemetry:
    def asked(self, verb: str, resource: str) -> None:
        """A request to the API server is about to be sent."""

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """`route` is a template such as /jobs/{job_id}; empty where no route was reached."""

    @asynccontextmanager
    async def served(self, service: Service) -> AsyncIterator[None]:
        """While the API runs."""
        yield
