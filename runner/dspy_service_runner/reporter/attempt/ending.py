"""The end of an attempt: everything is stored before the status tells of it, and each step is repeated until it worked.

With a result, streams, artifact and `result.json` go into the store, and only then the result into the status. Without
one, streams and checkpoint are stored for the next attempt. Each step may be done twice, by this process or by its
successor after a kill.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import orjson

from dspy_service_core.errors import StoreError
from dspy_service_core.records.call_lines import Tally
from dspy_service_core.records.record import document
from dspy_service_core.records.run import ArtifactRef, Result, ResultDocument
from dspy_service_core.storage import pod_files
from dspy_service_core.storage.store import Store
from dspy_service_runner.redaction import Redactor
from dspy_service_runner.reporter.artifact.artifact import ArtifactUnusable, upload_artifact
from dspy_service_runner.reporter.artifact.checkpoint import Checkpoint
from dspy_service_runner.reporter.artifact.submitted import Submitted, read_submitted
from dspy_service_runner.reporter.attempt.patience import Patience
from dspy_service_runner.reporter.status.own_resource import NotAllowed, Unreachable
from dspy_service_runner.reporter.streams.outbox import Outbox, timestamp
from dspy_service_runner.reporter.streams.tail import Tail

logger = logging.getLogger("dspy_service.reporter")

_IDLE = 3600.0
_LONG_UNHEARD = 30.0
"""After this many seconds without an answer of the API server, another attempt may have begun, so the resource is read
before a result is written."""
T = TypeVar("T")


@dataclass(slots=True)
class Ending:
    outbox: Outbox
    checkpoint: Checkpoint
    patience: Patience
    in_folder: Path
    artifact_url: str
    open_store: Callable[[str], Store]
    clock: Callable[[], float] = time.monotonic

    def hand_over(self, result: ResultDocument) -> None:
        """Stores everything, and puts the result into the status last."""
        if self.clock() - self.outbox.answered > _LONG_UNHEARD:
            self._check_place()
        self.outbox.look_at_progress()
        self._ship_streams()
        summary = self._repeat(lambda: self._store_result(result))
        report = self.outbox.report
        report.result, report.stage, report.trouble = summary, "Ended", ""
        self._repeat(self.outbox.patch)
        self._forget_checkpoint()

    def outlast(self) -> None:
        """Waits until the pod is asked to end, and then stores what the optimizer wrote after its result."""
        while not self.patience.termination.wait(_IDLE):
            pass
        if self._ship_streams():
            self._repeat(self.outbox.patch_streams)

    def drain(self) -> None:
        """Ends the attempt without a result, unless one appeared at the last moment."""
        self._check_place()
        if result := self.outbox.result():
            self.hand_over(result)
            return
        self.outbox.look_at_progress()
        self._ship_streams()
        self._count_calls()
        self.outbox.trouble(None)
        self._repeat(self.outbox.patch)
        self.checkpoint.settle()
        self._repeat(self.checkpoint.sync)

    def _count_calls(self) -> None:
        """The journal of a killed optimizer tells of later calls than its last progress."""
        tally, report = Tally(), self.outbox.report
        for line in self._journal():
            tally.read(line)
        tally.lose_all()
        counted = tally.total()
        if counted.calls >= report.usage.calls:
            report.progress = replace(report.progress, usage=counted)

    def _journal(self) -> Iterator[bytes]:
        with contextlib.suppress(OSError), (self.in_folder / pod_files.CALLS).open("rb") as earlier:
            yield from earlier
        tail = Tail(self.outbox.out, pod_files.CALLS)
        while lines := tail.read():
            yield from (line.content for line in lines if line.content is not None)

    def _ship_streams(self) -> bool:
        """Stores everything that is written by now; tells whether the store lacked any of it."""
        before = [stream.writer.stored for stream in self.outbox.streams]
        self._repeat(self.outbox.take_all)
        self.outbox.finish()
        self._repeat(self.outbox.flush)
        return before != [stream.writer.stored for stream in self.outbox.streams]

    def _store_result(self, result: ResultDocument) -> Result:
        """Uploads the artifact, stores the result and returns its summary for the status. A run whose artifact cannot
        be stored has failed."""
        artifact = None
        if result.outcome == "Succeeded" or (result.outcome == "Failed" and result.program_kept):
            try:
                artifact = self._upload_artifact()
            except ArtifactUnusable as error:
                result = replace(result, outcome="Failed", reason=error.reason, message=error.message)
        report = self.outbox.report
        report.progress = replace(report.progress, usage=result.usage or report.progress.usage)
        summary = result.summary(artifact, timestamp())
        record = document(summary) | document(replace(result, usage=report.usage)) | {"attempt": report.attempt}
        self.outbox.store.put(pod_files.RESULT, orjson.dumps(record), durable=True)
        return summary

    def _upload_artifact(self) -> ArtifactRef | None:
        store, redactor = self.open_store(self.artifact_url), self.outbox.redactor
        return upload_artifact(self.outbox.out, store, redactor, self.artifact_url, self._submitted(redactor))

    def _submitted(self, redactor: Redactor) -> Submitted:
        try:
            return read_submitted(self.in_folder, self.outbox.known["spec"], redactor)
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            # Only where the node has no sandbox can the job's code have done that.
            message = f"What was submitted cannot be read any more: {error}"
            raise ArtifactUnusable("ArtifactUnusable", message) from error

    def _forget_checkpoint(self) -> None:
        """A job that has ended is never resumed. If deleting fails, the files go when the job's folder is deleted."""
        self.checkpoint.settle()
        try:
            self.outbox.store.delete_folder(pod_files.CHECKPOINT)
        except StoreError as error:
            logger.warning("the checkpoint was not deleted: %s", error)

    def _check_place(self) -> None:
        """Raises `Fenced` if this pod is no longer the recorded attempt. Without this check, the last writes could
        bring back the folder of a deleted job, or overwrite what the next attempt stored."""
        own = self.outbox.own_resource
        try:
            self.outbox.known = own.current(own.get())
        except (Unreachable, NotAllowed) as error:
            logger.warning("%s", error)

    def _repeat(self, step: Callable[[], T]) -> T:
        return self.patience.repeat(step, self._tell)

    def _tell(self, error: Exception) -> None:
        """Reports trouble with the store in the status, as far as the API server answers."""
        if not isinstance(error, StoreError):
            return
        self.outbox.trouble(error)
        try:
            self.outbox.patch()
        except (Unreachable, NotAllowed) as failure:
            logger.warning("%s", failure)
