"""What the operator tells of itself while it works. This one keeps nothing: metrics are off (`metrics.py` counts)."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from dspy_service_core.side_server import SideAnswer
from dspy_service_operator.queue.queue import Queue


class Telemetry:
    def pages(self) -> Mapping[str, Callable[[], SideAnswer]]:
        """What is served on the metrics port, by path."""
        return {}

    def watch(self, queue: Queue) -> None:
        """Whose length and holders are told when somebody asks."""

    def asked(self, verb: str, resource: str) -> None:
        """A request to the API server is about to be sent."""

    def leads(self, leading: bool) -> None: ...

    def started(self, seconds: float) -> None:
        """A job runs, so long after its creation."""

    def ended(self, phase: str, reason: str) -> None: ...

    @contextmanager
    def reconciling(self) -> Iterator[None]:
        yield
