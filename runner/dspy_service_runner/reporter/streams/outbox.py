"""Everything of one attempt that goes into the store and the status, and how much of it has arrived there.

`look` reads what is new in the optimizer's folder, `flush` stores it, `patch` reports it in the status, always in this
order.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dspy_service_core.errors import StoreError
from dspy_service_core.records.run import MAX_RESULT_BYTES, ResultDocument
from dspy_service_core.storage import pod_files
from dspy_service_core.storage.store import Store
from dspy_service_runner.redaction import Redactor
from dspy_service_runner.reporter import sanitize
from dspy_service_runner.reporter.status.own_resource import NotAllowed, OwnResource, Refused
from dspy_service_runner.reporter.status.status import Report, bare, with_removals
from dspy_service_runner.reporter.streams.entries import reading
from dspy_service_runner.reporter.streams.optimizer_files import (
    MAX_PROGRESS_BYTES,
    read_progress,
    read_result,
    unreadable_result,
)
from dspy_service_runner.reporter.streams.out_folder import OutFolder, Seen, TooLarge
from dspy_service_runner.reporter.streams.streams import MAX_BACKLOG, LogStream, Stream, flush

logger = logging.getLogger("dspy_service.reporter")


def timestamp() -> str:
    return sanitize.timestamp(time.time())


@dataclass(slots=True)
class Outbox:
    out: OutFolder
    store: Store
    own_resource: OwnResource
    redactor: Redactor
    report: Report
    logs: LogStream
    others: list[Stream]
    heed: Callable[[dict[str, Any]], None]
    """Called with each answer of the API server: the resource as it is now."""
    known: dict[str, Any] = field(default_factory=dict)
    answered: float = field(default_factory=time.monotonic)
    """When the API server last said that this pod is the recorded attempt."""
    _progress_seen: Seen | None = field(init=False, default=None)
    _said: set[str] = field(init=False, default_factory=set)
    _bare: bool = field(init=False, default=False)

    @property
    def streams(self) -> list[Stream]:
        return [self.logs, *self.others]

    def look(self) -> bool:
        """Reads what is new; returns whether there was anything."""
        taken = [stream.take() for stream in self.streams]
        for problem in filter(None, (stream.problem() for stream in self.streams)):
            if problem not in self._said:
                self._said.add(problem)
                self.logs.say(problem)
        return self.look_at_progress() or any(taken)

    def look_at_progress(self) -> bool:
        seen = self.out.look(pod_files.PROGRESS)
        if seen is None or seen == self._progress_seen:
            return False
        self._progress_seen = seen
        try:
            content = self.out.read(pod_files.PROGRESS, MAX_PROGRESS_BYTES)
        except TooLarge:
            return False
        progress = read_progress(content or b"", reading(self.redactor, timestamp()))
        if progress is None:
            return False
        self.report.progress, self.report.stage = progress, progress.stage
        return True

    def result(self) -> ResultDocument | None:
        """The run's result; None as long as there is no such file."""
        try:
            content = self.out.read(pod_files.RESULT, MAX_RESULT_BYTES)
        except TooLarge:
            return unreadable_result(f"it has more than {MAX_RESULT_BYTES} bytes")
        return None if content is None else read_result(content, self.redactor)

    def take_all(self) -> None:
        """Reads everything that was written before this call. Raises the store's errors."""
        for stream in self.streams:
            seen = self.out.look(stream.tail.name)
            while seen and stream.tail.offset < seen.size and stream.take():
                if stream.writer.backlog > MAX_BACKLOG // 2:
                    flush(stream, self.store)

    def finish(self) -> None:
        for stream in self.streams:
            stream.finish()

    def trouble(self, error: StoreError | None) -> bool:
        """Sets what the status says about the store; returns whether that changed."""
        text = f"{error}{pod_files.TRYING_AGAIN}" if error else ""
        if text == self.report.trouble:
            return False
        logger.warning("%s", text or "the store works again")
        self.report.trouble = text
        return True

    def flush(self) -> None:
        """Stores what was read. Raises the store's errors, after telling the report what was stored until then."""
        try:
            for stream in self.streams:
                flush(stream, self.store)
        finally:
            for stream in self.streams:
                stream.settle(self.report)

    def patch(self) -> None:
        """Raises `Fenced`, `Unreachable` and `NotAllowed`. A status that the server refuses is sent again without what
        user code can choose."""
        self._send(self.report.run())

    def ask(self) -> None:
        """Reads the resource, to hear of a stop between two patches. Raises as `patch` does."""
        self._heard(self.own_resource.current(self.own_resource.get()))

    def patch_streams(self) -> None:
        """Patches the streams only, so that a result in the status stays as it is."""
        run = self.report.run()
        self._send({part: run[part] for part in ("attempt", "podUID", "metrics", "events", "logs", "candidates")})

    def _send(self, run: dict[str, Any]) -> None:
        known = (self.known.get("status") or {}).get("run")
        try:
            self._heard(self.own_resource.patch_run(with_removals(bare(run) if self._bare else run, known)))
        except Refused as refusal:
            if self._bare:
                raise NotAllowed(f"the status was refused: {refusal}") from None
            logger.error("the status was refused, and is said in our own words alone: %s", refusal)
            self._bare = True
            self._send(run)

    def _heard(self, resource: dict[str, Any]) -> None:
        self.known = resource
        self.answered = time.monotonic()
        self.heed(resource)
