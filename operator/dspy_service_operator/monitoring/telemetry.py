"""What the operator measures while it works. This class ignores all of it, for when metrics are off; `metrics.py`
counts."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from dspy_service_core.side_server import SideAnswer
from dspy_service_operator.queue.queue import Queue


class Telemetry:
    def pages(self) -> Mapping[str, Callable[[], SideAnswer]]:
        """What is served on the metrics port, by path."""
        return {}

    def watch(self, queue: Queue) -> None:
        """The queue whose length and number of running jobs are shown on the metrics page."""

    def asked(self, verb: str, resource: str) -> None:
        """A request to the API server is about to be sent."""

    def leads(self, leading: bool) -> None: ...

    def started(self, seconds: float) -> None:
        """A job has begun to run, so many seconds after its creation."""

    def ended(self, phase: str, reason: str) -> None: ...

    @contextmanager
    def reconciling(self) -> Iterator[None]:
        yield
