"""One attempt from beginning to end: wait for the turn -> restore -> follow -> hand over or drain.

A job that cannot run as it was submitted (`UsersFault`) ends here as Failed, before the optimizer begins.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from dspy_service_core.records.run import ResultDocument
from dspy_service_core.storage import pod_files
from dspy_service_core.storage.store import Store, open_store
from dspy_service_runner.redaction import Redactor
from dspy_service_runner.reporter.artifact.checkpoint import Checkpoint
from dspy_service_runner.reporter.attempt.assembly import assemble, new_report, status_of
from dspy_service_runner.reporter.attempt.ending import Ending
from dspy_service_runner.reporter.attempt.fence import await_turn
from dspy_service_runner.reporter.attempt.patience import Patience
from dspy_service_runner.reporter.attempt.session import Session
from dspy_service_runner.reporter.attempt.timetable import Timetable
from dspy_service_runner.reporter.inputs.arguments import Arguments
from dspy_service_runner.reporter.inputs.dataset import UsersFault
from dspy_service_runner.reporter.inputs.restore import (
    is_ready,
    restore,
    say_ready,
    say_refused,
    say_stop,
)
from dspy_service_runner.reporter.status.own_resource import NotAllowed, Object, OwnResource, Refused, Unreachable
from dspy_service_runner.reporter.status.status import Report
from dspy_service_runner.reporter.streams.outbox import Outbox

logger = logging.getLogger("dspy_service.reporter")

STORE_TIMEOUT = timedelta(seconds=15)
T = TypeVar("T")


@dataclass(slots=True)
class Attempt:
    arguments: Arguments
    own_resource: OwnResource
    redactor: Redactor
    patience: Patience
    report: Report = field(init=False)

    def run(self) -> None:
        arguments = self.arguments
        resource = await_turn(self.own_resource, arguments.pod_uid, arguments.attempt, self.patience)
        self.report = new_report(arguments, resource)
        store = self._repeat(lambda: open_job_store(arguments.job_store))
        fault = self._prepare(resource, store)
        outbox = self._repeat(lambda: self._assemble(resource, store))
        self._follow(outbox, fault, already_told(resource, arguments.pod_uid))

    def _prepare(self, resource: Object, store: Store) -> UsersFault | None:
        """Fills the optimizer's folder and lets it begin; returns the fault if the job cannot run."""
        if not is_ready(self.arguments):
            try:
                self._repeat(lambda: restore(self.arguments, resource, store))
            except UsersFault as fault:
                return fault
            self._heed(resource)
            say_ready(self.arguments)
        self.report.stage = "Validating"
        return None

    def _assemble(self, resource: Object, store: Store) -> Outbox:
        return assemble(self.arguments, resource, store, self.own_resource, self.redactor, self.report, self._heed)

    def _follow(self, outbox: Outbox, fault: UsersFault | None, told: bool) -> None:
        arguments = self.arguments
        checkpoint = Checkpoint(outbox.out, outbox.store, self.redactor, arguments.checkpoint_limit)
        ending = Ending(
            outbox, checkpoint, self.patience, arguments.in_folder, arguments.artifact_store, open_job_store
        )
        if not told:
            result = refusal(outbox, fault) if fault else self._session(outbox, checkpoint).follow()
            if result is None:
                ending.drain()
                return
            ending.hand_over(result)
        if fault:
            say_refused(arguments)
        ending.outlast()

    def _session(self, outbox: Outbox, checkpoint: Checkpoint) -> Session:
        arguments = self.arguments
        timetable = Timetable(
            arguments.progress_interval,
            arguments.flush_interval,
            arguments.heartbeat_interval,
            arguments.ask_interval,
            started=time.monotonic(),
        )
        return Session(outbox, checkpoint, self.patience.termination, timetable, arguments.unheard_limit)

    def _heed(self, resource: Object) -> None:
        """Passes `spec.stop: KeepBest` on to the optimizer as a file. Cancel is carried out by the operator."""
        wanted = resource["spec"].get("stop")
        if wanted == "KeepBest" and not (self.arguments.in_folder / pod_files.STOP).exists():
            say_stop(self.arguments, wanted)

    def _repeat(self, step: Callable[[], T]) -> T:
        return self.patience.repeat(step, self._tell)

    def _tell(self, error: Exception) -> None:
        """Patches only these parts, because a reporter that ran in this pod before may have reported more than this one
        has recovered yet."""
        self.report.trouble = f"{error}{pod_files.TRYING_AGAIN}"
        run = self.report.run()
        parts = (
            ("attempt", "podUID", "message") if is_ready(self.arguments) else ("attempt", "podUID", "message", "stage")
        )
        try:
            self.own_resource.patch_run({part: run[part] for part in parts})
        except (Unreachable, NotAllowed, Refused) as failure:
            logger.warning("%s", failure)


def already_told(resource: Object, pod_uid: str) -> bool:
    """Whether a reporter that ran in this pod before has already put the result into the status."""
    run = status_of(resource).get("run") or {}
    return run.get("podUID") == pod_uid and bool(run.get("result"))


def refusal(outbox: Outbox, fault: UsersFault) -> ResultDocument:
    outbox.logs.say(fault.message, "ERROR")
    return ResultDocument("Failed", fault.reason, fault.message)


def open_job_store(url: str) -> Store:
    return open_store(url, timeout=STORE_TIMEOUT)
