"""Keeps the best program so far, for a run that is stopped early, and how its score rose, for a chart; and has each
program that is scored told of (`tried.py`).

Optimizers hand out no intermediate program. Most score candidates through `dspy.Evaluate`, whose callbacks show the
program and its score; the others have an observer of their own in their strategy's file.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dspy
import orjson
from dspy.utils.callback import BaseCallback

from dspy_service_core.storage import pod_files
from dspy_service_runner.optimizer.outbox import Outbox
from dspy_service_runner.optimizer.program_state import State, load, state_of
from dspy_service_runner.optimizer.progress.tried import Tried

logger = logging.getLogger("dspy_service.candidates")

Shape = tuple[tuple[str, ...], ...]
Scored = tuple[int, float]
"""The metric calls made when a program was scored, and a score."""
Shown = Callable[[dspy.Module], Mapping[str, Any]]
"""A program's prompts, for those who ask for the best so far."""
_NOTHING_SCORED = (0, float("-inf"))


@dataclass(frozen=True)
class Candidate:
    score: float
    rows: int
    calls: int
    """Metric calls made when it was scored."""
    state: State

    @classmethod
    def read(cls, content: bytes) -> "Candidate":
        found = orjson.loads(content)
        return cls(found["score"], found["rows"], found["calls"], found["state"])


@dataclass(frozen=True)
class Origin:
    """What an optimizer can tell of a candidate beside its score. By default nothing is known."""

    parents: Sequence[int] = ()
    at_call: int | None = None
    """Metric calls of the search when it came, if that was not just now."""
    accepted: bool | None = None
    """Whether the search kept it; if the optimizer has no such word, whether it is the best so far."""


UNKNOWN = Origin()


def shape_of(program: dspy.Module) -> Shape:
    """The names of a program's predictors and of their fields, which no optimizer changes."""
    return tuple((name, *predictor.signature.fields) for name, predictor in program.named_predictors())


class Candidates:
    """`calls` are the metric calls of the whole run, `own_calls` those of the search alone."""

    def __init__(
        self,
        outbox: Outbox,
        calls: Callable[[], int],
        improved: Callable[[Candidate], None],
        own_calls: Callable[[], int] | None = None,
        shown: Shown = lambda program: {},
    ) -> None:
        self._outbox, self._calls, self._improved = outbox, calls, improved
        self._own_calls, self._shown = own_calls, shown
        self._lock = threading.Lock()
        self.given: State = {}
        """The program with which the run began."""
        self._program: dspy.Module | None = None
        self._shape: Shape = ()
        self._tried = self._closed = False
        self._best: Candidate | None = None
        self._best_told = _NOTHING_SCORED
        self._told = Tried(outbox)
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

    @property
    def count(self) -> int:
        """How many are told of, in all attempts."""
        return self._told.count

    def own_calls(self) -> int:
        return self._calls() if self._own_calls is None else self._own_calls()

    def final(self) -> Candidate | None:
        """The best program; what other threads still score no longer counts. The file is written again, because the
        thread that was to write it may have been interrupted."""
        with self._lock:
            self._closed = True
        self._keep()
        return self.best

    def begin(self, program: dspy.Module, earlier: Path) -> None:
        """`earlier`: the folder in which an earlier attempt's best program and candidates are."""
        self.given, self._shape, self._program = state_of(program), shape_of(program), program
        self._told.begin(self.given, earlier / pod_files.CANDIDATES)
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            kept = Candidate.read((earlier / pod_files.CHECKPOINT / pod_files.BEST).read_bytes())
            self._best, self._tried, self.tried_another = kept, True, True
            self._improved(kept)

    def resumed(self, calls: int) -> None:
        """The optimizer goes on from this many of its metric calls, and has told what it found before."""
        self._told.skip(calls)

    def is_one(self, program: Any) -> bool:
        """Whether a program may be a candidate: optimizers, programs and metrics evaluate other programs too."""
        return isinstance(program, dspy.Module) and shape_of(program) == self._shape

    def is_as_given(self, program: dspy.Module) -> bool:
        return state_of(program) == self.given

    def seen(self, state: State, score: float, rows: int, origin: Origin = UNKNOWN) -> int:
        """Notes a program that was scored on some rows, and returns its number."""
        with self._lock:
            if self._closed:
                return 0
            self.tried_another = self.tried_another or state != self.given
            return self._tell(state, score, rows, origin, self.own_calls(), kept=False)

    def made(self, state: State) -> None:
        """Notes the program of an optimizer that scores none."""
        with self._lock:
            if not self._told.count and state != self.given:
                self._tell(state, None, 0, UNKNOWN, self.own_calls(), kept=True)

    def scored(self, state: State, score: float, rows: int, origin: Origin = UNKNOWN) -> int:
        """Notes a candidate's full score, and returns its number. A score on more rows goes before a higher one on
        fewer."""
        with self._lock:
            if self._closed:
                return 0
            self._tried = self._tried or state != self.given
            self.tried_another = self.tried_another or state != self.given
            calls = self._calls()
            own = calls if self._own_calls is None else self._own_calls()
            number = self._tell(state, score, rows, origin, own, kept=(rows, score) > self._best_told)
            self._best_told = max(self._best_told, (rows, score))
            if origin.at_call is not None:  # it may be an earlier attempt's
                calls += origin.at_call + rows - own
            self.scores.append((calls, score))
            best = self._better(Candidate(score, rows, calls, state))
            self.best_so_far.append((calls, best.score))
            improved, self._best = best is not self._best, best
        if improved:
            self._improved(best)
            self.on_better(state)
            self._keep()
        return number

    def _tell(self, state: State, score: float | None, rows: int, origin: Origin, calls: int, *, kept: bool) -> int:
        return self._told.tell(
            state,
            score,
            rows,
            accepted=kept if origin.accepted is None else origin.accepted,
            at_call=calls if origin.at_call is None else origin.at_call,
            parents=origin.parents,
        )

    def _better(self, candidate: Candidate) -> Candidate:
        best = self._best
        if best is not None and (candidate.rows, candidate.score) <= (best.rows, best.score):
            return best
        if best is not None and candidate.rows > best.rows:
            self.best_so_far.clear()  # scores on fewer rows cannot be compared: the curve begins anew
        return candidate

    def _keep(self) -> None:
        best = self.best
        if best is None:
            return
        try:
            document = {**vars(best), **self._prompts(best)}
            self._outbox.replace(f"{pod_files.CHECKPOINT}/{pod_files.BEST}", orjson.dumps(document))
        except OSError as error:
            logger.warning("the best program so far could not be kept: %s", error)

    def _prompts(self, best: Candidate) -> Mapping[str, Any]:
        """Empty if they cannot be told: a predictor of the user's own may do anything."""
        try:
            assert self._program is not None
            program = self._program.deepcopy()
            load(program, best.state)
            return self._shown(program)
        except Exception as error:
            logger.info("the prompts of the best program so far cannot be told: %s", error)
            return {}


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
        note = self._candidates.scored if rows >= self._full else self._candidates.seen
        note(state_of(program), float(outputs.score), rows)
