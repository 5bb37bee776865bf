"""How far the run is: counted metric calls against known totals, as events and as `progress.json`.

The counts are exact for every optimizer, because each of them scores through our metric; progress bars are not (and
some optimizers draw none). The `tqdm_*` figures are the optimizer's own part, `progress.json` is the whole run.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from dspy_service_core.records import events
from dspy_service_core.records.run import OptimizerStage, ProgressDocument
from dspy_service_core.records.usage import Usage
from dspy_service_runner.optimizer.outbox import Outbox, timestamp

_WINDOW = 20
"""How many recent samples the rate is taken over. A resumed run replays its first calls much faster than the rest."""


@dataclass
class Part:
    """The optimizer's own metric calls."""

    description: str = ""
    started: float = 0.0
    calls: int = 0
    total: int | None = None
    demo_calls: int = 0
    """Calls made to find demos: no optimizer knows them beforehand, so they raise the total as they come."""
    counts_demos: bool = True

    @property
    def expected(self) -> int | None:
        """Never less than the calls made: dspy repeats what takes longer than two minutes."""
        if self.total is None:
            return None
        return max(self.total + (self.demo_calls if self.counts_demos else 0), self.calls)


class Progress:
    def __init__(
        self, outbox: Outbox, usage: Callable[[], Usage], interval: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._outbox, self._usage, self._interval, self._clock = outbox, usage, interval, clock
        self._lock = threading.Lock()
        self._writing = threading.Lock()  # held while a document is made and written, to keep the order
        self._stage: OptimizerStage = "Validating"
        self._started_at: str | None = None
        self._around = self._around_total = 0
        self._part: Part | None = None
        self._last_emitted = float("-inf")
        self._samples: deque[tuple[float, int]] = deque(maxlen=_WINDOW)
        self.best_score: float | None = None
        self._notice = ""

    @property
    def calls(self) -> int:
        """Metric calls of the whole run so far."""
        return self._around + self.own_calls

    @property
    def own_calls(self) -> int:
        """Those of the optimizer."""
        return self._part.calls if self._part else 0

    def stage(self, name: OptimizerStage) -> None:
        with self._lock:
            self._stage = name
            if name == "Running" and self._started_at is None:
                self._started_at = timestamp(datetime.now(UTC))
        self.write()

    def waits_for(self, notice: str) -> None:
        """`notice` is what the run waits for; empty when it goes on."""
        self._notice = notice
        self.write()

    def expect_around(self, total: int) -> None:
        """Metric calls of the baseline and the final score."""
        self._around_total = total

    def called_around(self, _for_demo: bool) -> None:
        with self._lock:
            self._around += 1
            due = self._due()
        if due:
            self.write()

    def begin_optimizer(self, description: str, total: int | None, counts_demos: bool) -> None:
        with self._lock:
            self._part = Part(description, self._clock(), 0, total, counts_demos=counts_demos)
            self._samples.clear()
            self._samples.append((self._part.started, 0))

    def called(self, for_demo: bool) -> None:
        """One metric call of the optimizer."""
        with self._lock:
            assert self._part is not None
            self._part.calls += 1
            self._part.demo_calls += for_demo
            due = self._due()
        if due:
            self._emit()

    def set_calls(self, calls: int) -> None:
        """For an optimizer that counts its metric calls itself."""
        with self._lock:
            assert self._part is not None
            self._part.calls = calls
            due = self._due()
        if due:
            self._emit()

    def end_optimizer(self) -> None:
        """Sets the total, which was only an upper bound, to the calls made, so that the part shows as complete."""
        with self._lock:
            if self._part is None:
                return
            self._part.total, self._part.counts_demos = self._part.calls, False
        self._emit()

    def _due(self) -> bool:
        now = self._clock()
        if now - self._last_emitted < self._interval:
            return False
        self._last_emitted = now
        return True

    def _emit(self) -> None:
        with self._writing:
            with self._lock:
                figures = self._bar()
            self._outbox.event(events.PROGRESS, figures)
        self.write()

    def _bar(self) -> events.OptimizerProgress:
        part = self._part
        assert part is not None
        now = self._clock()
        self._samples.append((now, part.calls))
        total = part.expected
        rate = self._rate()
        left = None if total is None else max(total - part.calls, 0)
        return events.OptimizerProgress(
            tqdm_total=total,
            tqdm_n=part.calls,
            tqdm_elapsed=round(now - part.started, 3),
            tqdm_rate=rate,
            tqdm_remaining=0.0 if left == 0 else None if left is None or not rate else round(left / rate, 3),
            tqdm_percent=_percent(part.calls, total),
            tqdm_desc=part.description,
            best_score=self.best_score,
        )

    def _rate(self) -> float | None:
        (then, calls_then), (now, calls_now) = self._samples[0], self._samples[-1]
        return round((calls_now - calls_then) / (now - then), 3) if now > then else None

    def write(self) -> None:
        with self._writing:
            with self._lock:
                document = self._document()
            self._outbox.progress(document)

    def _document(self) -> ProgressDocument:
        expected = self._part.expected if self._part else None
        total = None if expected is None else expected + self._around_total
        rate = self._rate() if self._part else None
        left = None if total is None else max(total - self.calls, 0)
        return ProgressDocument(
            stage=self._stage,
            started_at=self._started_at,
            percent=_percent(self.calls, total),
            calls=self.calls,
            total=total,
            best_score=self.best_score,
            eta_seconds=round(left / rate, 1) if left is not None and rate else None,
            usage=self._usage(),
            notice=self._notice,
        )


def _percent(done: int, total: int | None) -> float | None:
    if total is None:
        return None
    return 100.0 if total <= 0 else round(min(100.0 * done / total, 100.0), 2)
