"""The gate of a job's budget: before each model call and each metric call it says whether that may start.

What is set aside for the final score (`Reserve`) is open to the final score alone, so that a search ends while its best
program can still be scored. Calls under way count as what calls of their length took on average. At a cap the stage's
stop token is closed, which ends the search as a stop from outside does; what was under way is awaited by whoever ends
the stage.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dspy_service_core.records.run import BudgetCap
from dspy_service_core.records.spending import Spending, ran
from dspy_service_core.records.usage import CallStage
from dspy_service_core.resource.spec.budget import Budget
from dspy_service_runner.optimizer.failures import Interrupt, JobFailed, StopToken

logger = logging.getLogger("dspy_service.budget")

BUDGET_SPENT = "BudgetSpent"
_NOTE_SECONDS = 1.0
"""How often the journal is told how long the job has run: so much of it a kill can hide."""
_ROUNDED = 1 + 1e-9
"""A sum of prices that is the cap itself may be a little more as floats are added."""
_SEARCH: CallStage = "optimize"
_FINAL: CallStage = "final"
_SHOWN = {
    "metric_calls": "metric calls",
    "model_calls": "model calls",
    "tokens": "tokens",
    "cost_usd": "US dollars",
    "seconds": "seconds",
}


@dataclass(frozen=True)
class Reserve:
    """What the final score is expected to take."""

    metric_calls: float = 0
    model_calls: float = 0
    tokens: float = 0
    cost_usd: float = 0
    seconds: float = 0

    def __str__(self) -> str:
        return (
            f"{self.metric_calls:.0f} metric calls, {self.model_calls:.0f} model calls, {self.tokens:.0f} tokens, "
            f"${self.cost_usd:.4g}, {self.seconds:.1f} s."
        )


class Caps:
    """`note` appends a line to the journal."""

    def __init__(
        self,
        budget: Budget | None,
        spending: Spending,
        note: Callable[[bytes], None] = lambda _line: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        given = budget or Budget()
        self._caps: dict[BudgetCap, float] = dict(given.numbers())
        self._spending, self._note, self._clock = spending, note, clock
        self.scored: Callable[[], int] = lambda: 0
        """How many metric calls were made, by the progress, which knows of those that an optimizer counts itself."""
        self._lock = threading.Lock()
        self._began, self._noted = clock(), spending.ran
        self._metric_calls = 0
        self._under_way, self._weight = 0, 0.0
        self._changed = threading.Condition(self._lock)
        self._stage: CallStage = "preflight"
        self._tokens: dict[CallStage, StopToken] = {}
        self.reserve = Reserve()
        self.hit: BudgetCap | None = None
        """The cap that ended the search, or that the final score did not fit below."""
        self._hit_by_search: BudgetCap | None = None
        self.short = False
        """Whether the final score did not fit into what was left."""

    @property
    def limits(self) -> bool:
        return bool(self._caps)

    def caps(self, name: BudgetCap) -> bool:
        return name in self._caps

    def begin(self, stage: CallStage, stop_token: StopToken) -> None:
        with self._lock:
            self._stage = stage
            self._tokens[stage] = stop_token
        self._arm(stage, stop_token)

    def complete(self, stage: CallStage) -> None:
        """The stage's work is whole: what comes later ends nothing of it, neither its time nor a thread of its own that
        it has given up. A cap that was reached while the last row of the final score ended has ended nothing either."""
        with self._lock:
            self._tokens.pop(stage, None)
            if stage == _FINAL and self.short:
                self.short, self.hit = False, self._hit_by_search

    def model_call(self, stage: CallStage, weight: float = 1.0) -> float:
        """Raises `Interrupt` if no model call may start; otherwise it is under way until `ending` of the weight that is
        returned. `weight` is how many calls of average length it is as long as: a search that goes on to longer prompts
        must not take from what is set aside with its last calls. Elsewhere nothing is kept from anyone by it."""
        weight = max(weight, 1.0) if stage == _SEARCH else 1.0
        with self._lock:
            spent = self._over(stage, 1, weight)
            self._under_way += spent is None
            self._weight += weight if spent is None else 0.0
        self._remember_time()
        if spent is not None:
            self._refuse(stage, spent)
        return weight

    @contextmanager
    def ending(self, weight: float = 1.0) -> Iterator[None]:
        """Around what adds a model call, which had been let through, to the spending."""
        with self._changed:
            yield
            self._under_way -= 1
            self._weight = self._weight - weight if self._under_way else 0.0
            self._changed.notify_all()

    def metric_call(self, stage: CallStage) -> None:
        """The same for the scoring of a row, which is over when it returns."""
        with self._lock:
            made = max(self._metric_calls, self.scored())
            cap = self._caps.get("metric_calls")
            full = cap is not None and made + 1 > cap - self._set_aside(stage, "metric_calls")
            spent: BudgetCap | None = "metric_calls" if full else self._over(stage)
            self._metric_calls = made + (spent is None)
        if spent is not None:
            self._refuse(stage, spent)

    def drain(self, seconds: float) -> None:
        """Waits for the calls under way: their answers are paid for, and what they took decides what is left."""
        with self._changed:
            self._changed.wait_for(lambda: not self._under_way, seconds)

    def said(self) -> str:
        """Which cap it was, in a sentence's middle: its budget of 500 model calls."""
        assert self.hit is not None
        return f"its budget of {self._caps[self.hit]:g} {_SHOWN[self.hit]}"

    def ran(self) -> float:
        return self._spending.ran + self._clock() - self._began

    def _set_aside(self, stage: CallStage, name: BudgetCap) -> float:
        """Until the first score tells what rows take, they are taken to cost what calls have cost so far."""
        if stage == _FINAL:
            return 0.0
        aside, its = self.reserve, self._spending
        guessed = {"tokens": its.tokens_a_call, "cost_usd": its.cost_a_call}.get(name, 0.0) * aside.model_calls
        return float(getattr(aside, name)) or guessed

    def _over(self, stage: CallStage, more: int = 0, weight: float = 0.0) -> BudgetCap | None:
        """The first cap, if any, that is reached when so many more calls, of that weight, are under way."""
        its, heavy = self._spending, self._weight + weight
        expected: dict[BudgetCap, float] = {
            "model_calls": its.calls + self._under_way + more,
            "tokens": its.tokens_a_call * (its.calls + heavy),
            "cost_usd": its.cost_a_call * (its.calls + heavy),
            "seconds": self.ran() + (its.seconds_a_call if more else 0.0),
        }
        for name, cap in self._caps.items():
            if name in expected and expected[name] > cap * _ROUNDED - self._set_aside(stage, name):
                return name
        return None

    def _refuse(self, stage: CallStage, name: BudgetCap) -> None:
        with self._lock:
            token = self._tokens.get(stage)
            if stage != self._stage or token is None:
                raise Interrupt(None)  # a thread that an optimizer has given up: it ends nothing but itself
            first, self.hit = self.hit is None, self.hit or name
            if stage == _FINAL:
                self.short = True
            else:
                self._hit_by_search = self.hit
            failure = self._close(stage, token)
        if first:
            logger.warning("No further call starts: the job has reached %s.", self.said())
        raise Interrupt(failure)

    def _close(self, stage: CallStage, token: StopToken) -> JobFailed | None:
        """Before the search there is nothing to keep."""
        if stage in (_SEARCH, _FINAL):
            token.stop()
            return None
        failure = JobFailed(
            BUDGET_SPENT,
            f"The job reached {self.said()} before its program was scored for the first "
            f"time, so nothing was optimized: {self._took()}. Give a larger budget, or fewer test rows.",
        )
        token.fail(failure)
        return failure

    def _took(self) -> str:
        its = self._spending
        aside = self.reserve.model_calls
        kept = f", and {aside:.0f} calls are set aside for the final score" if aside else ""
        return f"{its.calls} model calls with {its.tokens} tokens were made{kept}"

    def _remember_time(self) -> None:
        """Only where it matters: a line in the journal is a line to ship."""
        now = self.ran()
        with self._lock:
            due = "seconds" in self._caps and now - self._noted >= _NOTE_SECONDS
            if due:
                self._noted = now
        if due:
            self._note(ran(now))

    def _arm(self, stage: CallStage, stop_token: StopToken) -> None:
        """Ends waits (for a rate limit, say) in which no call would be made that could be refused."""
        cap = self._caps.get("seconds")
        if cap is None:
            return

        def look() -> None:
            if self._stage != stage or stop_token.is_stopped or self._tokens.get(stage) is not stop_token:
                return
            left = cap - self._set_aside(stage, "seconds") - self.ran()
            if left > 0:
                self._later(left, look)
                return
            try:
                self._refuse(stage, "seconds")
            except Interrupt:
                return

        self._later(0.0, look)

    @staticmethod
    def _later(seconds: float, function: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, function)
        timer.daemon = True
        timer.start()
