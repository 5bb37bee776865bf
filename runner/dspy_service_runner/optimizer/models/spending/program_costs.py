"""What one run of a program takes, for the newest programs that ran: their own calls, whoever runs them.

A call belongs to the outermost module of DSPy's stack of callers, which is the program that an optimizer scores. What
a metric asks (a judge) has a program of its own there, or none.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import dspy
from dspy.utils.callback import BaseCallback

from dspy_service_core.records.spending import Spending
from dspy_service_core.records.usage import Usage

_KEPT = 64
"""Programs: a search may score some beside each other before it says which is the best."""


@dataclass(frozen=True)
class RowCost:
    """What one row takes on average; calls that memory answered are calls too, as on other rows they would be. What
    such calls take is not known: then the rest is 0."""

    model_calls: float
    tokens: float
    cost_usd: float
    seconds: float


@dataclass
class _Runs:
    program: Any
    """Kept alive, so that no other has its id."""
    runs: int = 0
    remembered: int = 0
    spending: Spending = field(default_factory=Spending)

    def row(self) -> RowCost | None:
        return row_cost(self.spending, self.remembered, self.runs)


def row_cost(spending: Spending, remembered: int, rows: int) -> RowCost | None:
    if not rows or not spending.calls + remembered:
        return None
    calls = (spending.calls + remembered) / rows
    return RowCost(calls, calls * spending.tokens_a_call, calls * spending.cost_a_call, calls * spending.seconds_a_call)


class ProgramCosts(BaseCallback):  # type: ignore[misc]  # dspy is untyped
    in_metric = None

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[int, _Runs] = OrderedDict()

    def on_module_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        if not dspy.settings.caller_modules:
            with self._lock:
                self._of(instance).runs += 1

    def answered(self, program: Any, usage: Usage) -> None:
        if program is not None:
            with self._lock:
                self._of(program).spending.add(usage)

    def remembered(self, program: Any) -> None:
        if program is not None:
            with self._lock:
                self._of(program).remembered += 1

    def forget(self, program: Any) -> None:
        with self._lock:
            self._known.pop(id(program), None)

    def over(self, program: Any, rows: int) -> RowCost | None:
        """Of a program that ran so many times since it was forgotten."""
        with self._lock:
            known = self._known.get(id(program))
            return None if known is None else row_cost(known.spending, known.remembered, rows)

    def of(self, is_meant: Callable[[Any], bool]) -> RowCost | None:
        """Of the newest program that is meant and has run."""
        with self._lock:
            newest = [its for its in reversed(self._known.values()) if its.runs]
        return next((row for its in newest if is_meant(its.program) and (row := its.row())), None)

    def _of(self, program: Any) -> _Runs:
        found = self._known.setdefault(id(program), _Runs(program))
        self._known.move_to_end(id(program))
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return found
