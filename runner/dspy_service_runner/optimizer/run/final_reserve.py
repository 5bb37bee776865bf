"""What of a job's budget is set aside for the final score: what the program that would be scored takes on that many
rows, as it was measured on others.

Before the first score, a call a row; then what the first score took; and from the first better program on, what the
best one took on the rows that it was found by.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from dspy_service_core.records.spending import Spending
from dspy_service_runner.optimizer.models.spending.caps import Reserve
from dspy_service_runner.optimizer.models.spending.ledger import Ledger
from dspy_service_runner.optimizer.models.spending.program_costs import RowCost, row_cost
from dspy_service_runner.optimizer.run.validation import Prepared

logger = logging.getLogger("dspy_service.budget")

_MARGIN = 1.1
"""Other rows, other lengths."""
_UNSCORED = 2.0
"""For a program that no search has scored: it may have demos in its prompts."""
_SECONDS_MARGIN, _SECONDS_MORE = 1.25, 0.5


class FinalReserve:
    def __init__(self, prepared: Prepared, ledger: Ledger) -> None:
        plan, strategy = prepared.plan, prepared.strategy
        self._caps, self._ledger, self._threads = ledger.caps, ledger, plan.threads
        self._rows = len(plan.splits.test)
        self._program, self._active = plan.program, self._caps.limits and strategy.optimizes
        runs = strategy.runs_a_row(plan)
        self._runs, self._looks_up = runs.most, strategy.looks_rows_up
        if plan.joined:  # of programs that all answer
            self._runs = len(plan.joined.members)
        calls = strategy.calls(plan)
        self._unscored = calls is not None and not calls.scores.most
        self._row: RowCost | None = None
        self._judging = RowCost(0, 0, 0, 0)
        self._wall = 0.0
        if self._active:
            calls_least = float(self._rows * runs.least) if plan.program.predictors() else 0.0
            self._caps.reserve = Reserve(metric_calls=self._rows, model_calls=calls_least)

    def baseline(self, score: Callable[[], Any]) -> Any:
        """Measures a score of the program as it was given."""
        costs = self._ledger.costs
        costs.forget(self._program)  # it may have run before, on other rows
        before, started = self._ledger.by_stage("baseline"), self._caps.ran()
        found = score()
        after = self._ledger.by_stage("baseline")
        spending = Spending()
        spending.add(after)  # calls of earlier attempts tell too what a call takes
        made = after.calls + after.cached_calls - before.calls - before.cached_calls
        whole = row_cost(spending, made - spending.calls, self._rows)
        self._wall = self._caps.ran() - started
        if whole is not None:
            own = costs.over(self._program, self._rows)
            self._row = whole if own is None else _known(own, whole)
            self._judging = _difference(whole, self._row)
            self._set(self._row, self._runs, _UNSCORED if self._unscored else _MARGIN)
        return found

    def improved(self, is_best: Callable[[Any], bool]) -> None:
        """A better program was found; `is_best` tells whether a program is that one."""
        if not self._active or self._row is None:
            return
        measured = self._ledger.costs.of(is_best)
        if measured is not None:
            self._set(_known(measured, self._row), 1, _MARGIN)

    def _set(self, row: RowCost, runs: int, margin: float) -> None:
        if not self._active:
            return
        looked_up = self._rows if self._looks_up else 0
        calls = self._rows * (row.model_calls * runs + self._judging.model_calls)
        self._caps.reserve = Reserve(
            metric_calls=self._rows,
            model_calls=(calls if calls == round(calls) else math.ceil(calls * _MARGIN)) + looked_up,
            tokens=self._rows * (row.tokens * runs + self._judging.tokens) * margin,
            cost_usd=self._rows * (row.cost_usd * runs + self._judging.cost_usd) * margin,
            seconds=self._seconds(row, runs, margin),
        )
        logger.info("Set aside for the final score: %s", self._caps.reserve)

    def _seconds(self, row: RowCost, runs: int, margin: float) -> float:
        given = self._row or row
        longer = max(row.seconds / given.seconds, 1.0) if given.seconds else 1.0
        calls = (row.seconds * runs + self._judging.seconds) * math.ceil(self._rows / self._threads)
        return max(self._wall * longer * runs, calls) * max(margin, _SECONDS_MARGIN) + _SECONDS_MORE


def _known(measured: RowCost, given: RowCost) -> RowCost:
    """If memory answered all of its calls, as in an attempt that goes on, they are taken to have been as others."""
    if measured.tokens or measured.cost_usd or not given.model_calls:
        return measured
    times = measured.model_calls / given.model_calls
    return replace(
        given,
        model_calls=measured.model_calls,
        tokens=given.tokens * times,
        cost_usd=given.cost_usd * times,
        seconds=given.seconds * times,
    )


def _difference(whole: RowCost, part: RowCost) -> RowCost:
    """What is left of it, which is what the metric asked."""
    return RowCost(
        **{its.name: max(getattr(whole, its.name) - getattr(part, its.name), 0.0) for its in fields(RowCost)}
    )
