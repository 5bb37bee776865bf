"""The main part of an attempt, from `ready` to its result: look, flush and patch, in one loop and one thread.

Only checkpoints are uploaded in another thread, because they may be large. A store that is away does not delay the
status, and an API server that is away does not delay the store: the optimizer's files keep what is not stored yet, and
the status says what is wrong. But when the API server has not answered for `unheard_limit`, Kubernetes may have given
this pod up, and another attempt may write to the same store; so nothing is stored until it answers again. The limit is
short enough, since giving a node up takes Kubernetes longer: at least 40 s and the pod's grace period.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from dspy_service_core.errors import StoreError
from dspy_service_core.records.run import ResultDocument
from dspy_service_runner.reporter.artifact.checkpoint import Checkpoint
from dspy_service_runner.reporter.attempt.termination import Termination
from dspy_service_runner.reporter.attempt.timetable import Backoff, Looks, Timetable
from dspy_service_runner.reporter.status.own_resource import NotAllowed, Unreachable
from dspy_service_runner.reporter.streams.outbox import Outbox

logger = logging.getLogger("dspy_service.reporter")


@dataclass(slots=True)
class Session:
    outbox: Outbox
    checkpoint: Checkpoint
    termination: Termination
    timetable: Timetable
    unheard_limit: float
    clock: Callable[[], float] = time.monotonic
    _store_patience: Backoff = field(init=False, default_factory=Backoff)
    _cluster_patience: Backoff = field(init=False, default_factory=Backoff)

    def follow(self) -> ResultDocument | None:
        """Returns the result as soon as there is one; None if the pod is asked to end before."""
        looks = Looks(self.clock())
        result = None
        while result is None and not self.termination.wait(looks.pause(self.clock())):
            changed = self._look()
            looks.note(self.clock(), changed)
            result = self.outbox.result()
            if result is None:
                self._keep_up(self.clock())
        return result

    def _look(self) -> bool:
        before = self.outbox.report.stage
        changed = self.outbox.look()
        self.timetable.changed |= changed
        self.timetable.urgent |= before != self.outbox.report.stage == "Running"
        return changed

    def _keep_up(self, now: float) -> None:
        heard = now - self.outbox.answered < self.unheard_limit
        patch = self.timetable.patch_due(now) and now >= self._cluster_patience.until
        flush = self.timetable.flush_due(now) and heard
        if (patch or flush) and heard and now >= self._store_patience.until:
            self._flush(now)
        if patch:
            self._patch(now)
        elif self.timetable.ask_due(now, self.outbox.answered) and now >= self._cluster_patience.until:
            self._answered(self.outbox.ask, now)
        if flush:
            self.timetable.flushed(now)
            self.checkpoint.sync_aside()

    def _flush(self, now: float) -> None:
        try:
            self.outbox.flush()
        except StoreError as error:
            self._store_patience.failed(now)
            self.timetable.changed |= self.outbox.trouble(error)
        else:
            self._store_patience.succeeded()
            self.timetable.changed |= self.outbox.trouble(None)

    def _patch(self, now: float) -> None:
        if self._answered(self.outbox.patch, now):
            self.timetable.patched(now)

    def _answered(self, request: Callable[[], None], now: float) -> bool:
        try:
            request()
        except (Unreachable, NotAllowed) as error:
            self._cluster_patience.failed(now)
            logger.warning("%s; trying again", error)
            return False
        self._cluster_patience.succeeded()
        return True
