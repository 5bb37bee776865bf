"""SIMBA: mini-batches of sampled trajectories, from which it appends demos or rules.

It scores through `dspy.Parallel`, so no evaluation callback shows its candidates. What shows them: the program that a
thread ran last is the one that the metric scores next in that thread.
"""

import threading
import weakref
from dataclasses import dataclass
from typing import Any

import dspy
from dspy.utils.callback import BaseCallback

from dspy_service_runner.optimizer.progress.candidates import Candidates, state_of
from dspy_service_runner.optimizer.strategies.strategy import Plan, Strategy


class Simba(Strategy):
    def observers(self, plan: Plan, candidates: Candidates) -> list[BaseCallback]:
        return [ProgramScores(candidates, {plan.options.number("bsize"), self.full_rows(plan)})]


@dataclass
class Tally:
    rows: int = 0
    total: float = 0.0


class ProgramScores(BaseCallback):  # type: ignore[misc]  # dspy is untyped
    """A program scored on as many rows as a batch, or as the training split, is a scored candidate."""

    def __init__(self, candidates: Candidates, sizes: set[int]) -> None:
        self._candidates, self._sizes = candidates, sizes
        self._thread = threading.local()
        self._lock = threading.Lock()
        self._tallies: weakref.WeakKeyDictionary[dspy.Module, Tally] = weakref.WeakKeyDictionary()

    def on_module_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        running = self._thread.__dict__.setdefault("running", [])
        running.append(instance)

    def on_module_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
        running = self._thread.__dict__.setdefault("running", [])
        if running:
            self._thread.last = weakref.ref(running.pop())

    def on_score(self, score: float) -> None:
        reference = getattr(self._thread, "last", None)
        program = reference() if reference is not None else None
        if program is None:
            return
        with self._lock:
            tally = self._tallies.setdefault(program, Tally())
            tally.rows += 1
            tally.total += score
            rows, total = tally.rows, tally.total
        if rows in self._sizes:
            self._candidates.scored(state_of(program), round(100 * total / rows, 2), rows)
