"""Keeps the best program so far, for a run that is stopped early, and how its score rose, for a chart.

Optimizers hand out no intermediate program. Most score candidates through `dspy.Evaluate`, whose callbacks show the
program and its score; the others have an observer of their own in their strategy's file.
"""

import contextlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dspy
import orjson
from dspy.utils.callback import BaseCallback

from dspy_service_core.storage import pod_files
from dspy_service_runner.optimizer.outbox import Outbox
from dspy_service_runner.optimizer.program_state import State, state_of

logger = logging.getLogger("dspy_service.candidates")

BEST_FILE = "best.json"
Shape = tuple[tuple[str, ...], ...]
Scored = tuple[int, float]
"""The metric calls made when a program was scored, and a score."""


@dataclass(frozen=True)
class Candidate:
    score: float
    rows: int
    calls: int
    """Metric calls made when it was scored."""
    state: State


def shape_of(program: dspy.Module) -> Shape:
    """The names of a program's predictors and of their fields, which no optimizer changes."""
    return tuple((name, *predictor.signature.fields) for name, predictor in program.named_predictors())


class Candidates:
    def __init__(self, outbox: Outbox, calls: Callable[[], int], improved: Callable[[float], None]) -> None:
        self._outbox, self._calls, self._improved = outbox, calls, improved
        self._lock = threading.Lock()
        self.given: State = {}
        """The program with which the run began."""
        self._shape: Shape = ()
        self._tried = self._closed = False
        self._best: Candidate | None = None
        self.tried_another = False
        """Whether any other program than the given one was scored, even if only on a few rows."""
        self.obstacle = ""
        """Why the optimizer tried nothing, if it can tell."""
        self.scores: list[Scored] = []
        """One for each candidate, in order."""
        self.on_better: Callable[[State], None] = lambda _state: None
        """Called with the state of a program that is better than all before."""
        self.best_so_far: list[Scored] = []
        """The best score after each candidate; it never falls."""

    @property
    def best(self) -> Candidate | None:
        """None until another program than the given one was scored."""
        return self._best if self._tried else None

    def final(self) -> Candidate | None:
        """The best program; what other threads still score no longer counts. The file is written again, because the
        thread that was to write it may have been interrupted."""
        with self._lock:
            self._closed = True
        self._keep()
        return self.best

    def begin(self, program: dspy.Module, earlier: Path) -> None:
        """`earlier`: the file in which an earlier attempt left its best program."""
        self.given, self._shape = state_of(program), shape_of(program)
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            kept = Candidate(**orjson.loads(earlier.read_bytes()))
            self._best, self._tried, self.tried_another = kept, True, True
            self._improved(kept.score)

    def is_one(self, program: Any) -> bool:
        """Whether a program may be a candidate: optimizers, programs and metrics evaluate other programs too."""
        return isinstance(program, dspy.Module) and shape_of(program) == self._shape

    def is_as_given(self, program: dspy.Module) -> bool:
        return state_of(program) == self.given

    def seen(self, state: State) -> None:
        """Notes a program that was scored on any number of rows."""
        self.tried_another = self.tried_another or state != self.given

    def scored(self, state: State, score: float, rows: int) -> None:
        """Notes a candidate's full score. A score on more rows goes before a higher one on fewer."""
        with self._lock:
            if self._closed:
                return
            self._tried = self._tried or state != self.given
            self.seen(state)
            calls = self._calls()
            self.scores.append((calls, score))
            best = self._better(Candidate(score, rows, calls, state))
            self.best_so_far.append((calls, best.score))
            improved, self._best = best is not self._best, best
        if improved:
            self._improved(score)
            self.on_better(state)
            self._keep()

    def _better(self, candidate: Candidate) -> Candidate:
        best = self._best
        if best is not None and (candidate.rows, candidate.score) <= (best.rows, best.score):
            return best
        if best is not None and candidate.rows > best.rows:
            self.best_so_far.clear()  # scores on fewer rows cannot be compared: the curve begins anew
        return candidate

    def _keep(self) -> None:
        if self.best is None:
            return
        try:
            self._outbox.replace(f"{pod_files.CHECKPOINT}/{BEST_FILE}", orjson.dumps(vars(self.best)))
        except OSError as error:
            logger.warning("the best program so far could not be kept: %s", error)


class EvaluationObserver(BaseCallback):  # type: ignore[misc]  # dspy is untyped
    """Reports the programs that the optimizer itself scores through `dspy.Evaluate`, from `full` rows on as fully
    scored. What a program evaluates as it runs, or what a metric evaluates, is no candidate."""

    in_metric = None

    def __init__(self, candidates: Candidates, full: int) -> None:
        self._candidates, self._full = candidates, full
        self._open: dict[str, tuple[dspy.Module, int]] = {}

    def on_evaluate_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        if not dspy.settings.caller_modules and self._candidates.is_one(inputs["program"]):
            self._open[call_id] = (inputs["program"], len(inputs.get("devset") or instance.devset))

    def on_evaluate_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
        opened = self._open.pop(call_id, None)
        if opened is None or outputs is None:
            return
        program, rows = opened
        state = state_of(program)
        if rows >= self._full:
            self._candidates.scored(state, float(outputs.score), rows)
        else:
            self._candidates.seen(state)
