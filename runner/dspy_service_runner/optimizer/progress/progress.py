"""How far the run is: counted metric calls against known totals, as events and as `progress.json`.

The counts are exact for every optimizer, because each of them scores through our metric; progress bars are not (and
some optimizers draw none). The `tqdm_*` figures are the optimizer's own part, `progress.json` is the whole run.

Events are kept for ever, so they come in intervals of seconds. The document is replaced, so it is written whenever a
metric call changed it, by a thread of its own: a call of the metric waits for no file, and the last of several calls is
told as soon as the first.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from dspy_service_core.records import events
from dspy_service_core.records.run import OptimizerStage, ProgressDocument, ScoredOn
from dspy_service_core.records.usage import Usage
from dspy_service_runner.optimizer.outbox import Outbox, timestamp
from dspy_service_runner.optimizer.progress.candidates import Candidate

_WINDOW = 20
"""How many recent samples the rate is taken over, one an event. A resumed run replays its first calls much faster than
the rest."""


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
    ended: float | None = None

    @property
    def expected(self) -> int | None:
        """Never less than the calls made."""
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
        self._last_emitted = 0.0
        self._samples: deque[tuple[float, int]] = deque(maxlen=_WINDOW)
        self._best: Candidate | None = None
        self._notice = ""
        self._news = threading.Event()
        self.scores_on: ScoredOn = "validation"
        """The rows that candidates are scored on."""

    def keep_written(self, interval: float) -> None:
        """From now on, writes the document whenever something changed, at most once in this many seconds."""
        threading.Thread(target=self._keep_written, args=(interval,), name="progress", daemon=True).start()

    def _keep_written(self, interval: float) -> None:
        while self._news.wait():
            self._news.clear()
            self.write()
            time.sleep(interval)

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

    def improved(self, best: Candidate) -> None:
        self._best = best
        self._news.set()

    def called_around(self, _for_demo: bool) -> None:
        with self._lock:
            self._around += 1
        self._news.set()

    def begin_optimizer(self, description: str, total: int | None, counts_demos: bool) -> None:
        with self._lock:
            self._part = Part(description, self._clock(), 0, total, counts_demos=counts_demos)
            self._samples.clear()
            self._samples.append((self._part.started, 0))
            self._last_emitted = self._part.started
        self._news.set()

    def called(self, for_demo: bool) -> None:
        """One metric call of the optimizer."""
        with self._lock:
            assert self._part is not None
            self._part.calls += 1
            self._part.demo_calls += for_demo
            due = self._due()
        self._tell(due)

    def set_calls(self, calls: int) -> None:
        """For an optimizer that counts its metric calls itself."""
        with self._lock:
            assert self._part is not None
            self._part.calls = calls
            due = self._due()
        self._tell(due)

    def end_optimizer(self) -> None:
        """Sets the total, which was only an upper bound, to the calls made, so that the part shows as complete."""
        with self._lock:
            if self._part is None:
                return
            self._part.total, self._part.counts_demos = self._part.calls, False
            self._part.ended = self._clock()
        self._emit()

    def _tell(self, due: bool) -> None:
        if due:
            self._emit()
        else:
            self._news.set()

    def _due(self) -> bool:
        now = self._clock()
        if now - self._last_emitted < self._interval:
            return False
        self._last_emitted = now
        return True

    def _emit(self) -> None:
        with self._writing:
            with self._lock:
                assert self._part is not None
                figures = self._bar(self._part)
                self._samples.append((self._now(self._part), self._part.calls))
            self._outbox.event(events.PROGRESS, figures)
        self.write()

    def _bar(self, part: Part) -> events.OptimizerProgress:
        total, rate = part.expected, self._rate(part)
        left = None if total is None else max(total - part.calls, 0)
        return events.OptimizerProgress(
            tqdm_total=total,
            tqdm_n=part.calls,
            tqdm_elapsed=round(self._now(part) - part.started, 3),
            tqdm_rate=rate,
            tqdm_remaining=0.0 if left == 0 else None if left is None or not rate else round(left / rate, 3),
            tqdm_percent=_percent(part.calls, total),
            tqdm_desc=part.description,
            best_score=self._best.score if self._best else None,
        )

    def _rate(self, part: Part) -> float | None:
        (then, calls_then), now = self._samples[0], self._now(part)
        return round((part.calls - calls_then) / (now - then), 3) if now > then else None

    def _now(self, part: Part) -> float:
        """Time stands still for a part that has ended."""
        return self._clock() if part.ended is None else part.ended

    def write(self) -> None:
        with self._writing:
            with self._lock:
                document = self._document()
            self._outbox.progress(document)

    def _document(self) -> ProgressDocument:
        part, best = self._part, self._best
        expected = part.expected if part else None
        total = None if expected is None else expected + self._around_total
        rate = self._rate(part) if part else None
        left = None if total is None else max(total - self.calls, 0)
        return ProgressDocument(
            stage=self._stage,
            started_at=self._started_at,
            percent=_percent(self.calls, total),
            calls=self.calls,
            total=total,
            best_score=best.score if best else None,
            best_score_on=self.scores_on if best else None,
            best_score_rows=best.rows if best else None,
            best_score_at_call=best.calls if best else None,
            eta_seconds=round(left / rate, 1) if left is not None and rate else None,
            usage=self._usage(),
            notice=self._notice,
            figures={**self._bar(part)} if part else {},
        )


def _percent(done: int, total: int | None) -> float | None:
    if total is None:
        return None
    return 100.0 if total <= 0 else round(min(100.0 * done / total, 100.0), 2)
