"""SIMBA: mini-batches of sampled trajectories, from which it appends demos or rules.

It scores through `dspy.Parallel`, so evaluation callbacks do not see its candidates. But it calls `wrap_program` with
each program and the metric that is to score it: that function is replaced here, so that the metric knows the program.

It samples with copies of the program's one model, at other rollouts, and refuses a program of several. Here each
predictor is sampled with copies of its own.
"""

import functools
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dspy
import orjson
from dspy.adapters.utils import serialize_for_json
from dspy.teleprompt import simba as dspy_simba, simba_utils
from dspy.teleprompt.simba_utils import append_a_rule
from dspy.utils.callback import BaseCallback

from dspy_service_runner.optimizer.program_state import state_of
from dspy_service_runner.optimizer.progress.candidates import Candidates, Origin
from dspy_service_runner.optimizer.strategies.beside.rules import RulesBeside
from dspy_service_runner.optimizer.strategies.beside.threads import beside_each_other
from dspy_service_runner.optimizer.strategies.strategy import Counting, Plan, Strategy


class Simba(Strategy):
    def observers(self, plan: Plan, candidates: Candidates) -> list[BaseCallback]:
        return []  # candidates are reported by its metric: see `ProgramScores`

    def build(self, plan: Plan, metric: Callable[..., Any], progress: Counting, candidates: Candidates) -> Any:
        sizes = {plan.options.number("bsize"), self.full_rows(plan)}
        return super().build(plan, ProgramScores(metric, candidates, sizes), progress, candidates)

    def compile(self, optimizer: Any, plan: Plan) -> dspy.Module:
        given = optimizer.strategies
        with beside_each_other(plan.threads) as start:
            rules = RulesBeside(start)
            optimizer.strategies = [rules.asking(each) if each is append_a_rule else each for each in given]
            try:
                with _programs_told(rules):
                    return super().compile(optimizer, plan)
            finally:
                optimizer.strategies = given


@dataclass
class Tally:
    rows: int = 0
    total: float = 0.0


class ProgramScores:
    """The metric, which also reports a program as a scored candidate when as many of its rows are scored as a batch or
    the training split has."""

    def __init__(self, metric: Callable[..., Any], candidates: Candidates, sizes: set[int]) -> None:
        self._metric, self._candidates, self._sizes = metric, candidates, sizes
        self._lock = threading.Lock()
        self._tallies: weakref.WeakKeyDictionary[dspy.Module, Tally] = weakref.WeakKeyDictionary()
        self._told: weakref.WeakKeyDictionary[dspy.Module, tuple[int, int]] = weakref.WeakKeyDictionary()
        """The candidate's number, and the number that SIMBA's pool had for it then."""

    def __call__(self, *arguments: Any) -> Any:
        return self._metric(*arguments)

    def of(self, program: dspy.Module) -> Callable[..., Any]:
        @functools.wraps(self._metric)
        def metric(*arguments: Any) -> Any:
            score = self._metric(*arguments)
            self._add(program, float(score))
            return score

        return metric

    def _add(self, program: dspy.Module, score: float) -> None:
        with self._lock:
            tally = self._tallies.setdefault(program, Tally())
            tally.rows += 1
            tally.total += score
            rows, total = tally.rows, tally.total
        if rows in self._sizes:
            self._tell(program, round(100 * total / rows, 2), rows)

    def _tell(self, program: dspy.Module, score: float, rows: int) -> None:
        number = self._candidates.scored(state_of(program), score, rows, Origin(self._parents(program)))
        with self._lock:
            self._told.setdefault(program, (number, _place(program)))

    def _parents(self, program: dspy.Module) -> list[int]:
        """SIMBA copies a program of its pool and changes the copy, which gets a number (`simba_idx`) of its own once it
        is in the pool: until then it has its parent's. The given program's is 0."""
        with self._lock:
            pool = {_place(each): number for each, (number, before) in self._told.items() if _place(each) != before}
        number = pool.get(_place(program))
        return [number] if number else []


def _place(program: dspy.Module) -> int:
    return int(getattr(program, "simba_idx", 0))


class OwnModels(dict[str, Any]):
    """A model for each predictor, by its name. SIMBA sets it as if it were one model, on all predictors."""


def own_models(program: dspy.Module, n: int, teacher_settings: Any = None) -> list[OwnModels]:
    """In the place of dspy's function, which is asked once for each model: predictors with the same model still have
    the same copy, because a module around them, such as BestOfN, may want it so."""
    predictors = dict(program.named_predictors())
    asked = {predictor.lm: predictor for predictor in predictors.values()}
    copies = {lm: simba_utils.prepare_models_for_resampling(of, n, teacher_settings) for lm, of in asked.items()}
    return [OwnModels({name: copies[of.lm][i] for name, of in predictors.items()}) for i in range(n)]


def spread(program: dspy.Module) -> None:
    """Gives each predictor its own of the models that are set on all of them."""
    for name, predictor in program.named_predictors():
        if isinstance(predictor.lm, OwnModels):
            predictor.lm = predictor.lm[name]


@contextmanager
def _programs_told(rules: RulesBeside) -> Iterator[None]:
    wrap, prepare, mask = dspy_simba.wrap_program, dspy_simba.prepare_models_for_resampling, simba_utils.recursive_mask

    def told(program: dspy.Module, metric: Any) -> Any:
        rules.written(program)
        spread(program)
        return wrap(program, metric.of(program) if isinstance(metric, ProgramScores) else metric)

    simba_utils.recursive_mask = plain
    dspy_simba.wrap_program, dspy_simba.prepare_models_for_resampling = told, own_models
    try:
        yield
    finally:
        simba_utils.recursive_mask = mask
        dspy_simba.wrap_program, dspy_simba.prepare_models_for_resampling = wrap, prepare


def plain(value: Any) -> Any:
    """Inputs, gold and answers as JSON, for the prompt model.

    DSPy's own function writes `<non-serializable: Person>` for a pydantic model or a set, and fails on keys that are
    not text.
    """
    if isinstance(value, dspy.Type):
        return f"<{type(value).__name__}>"  # an image cannot be shown in text
    if isinstance(value, dict):
        return {str(serialize_for_json(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    shown = serialize_for_json(value)
    return shown if _fits_json(shown) else str(shown)


def _fits_json(value: Any) -> bool:
    """orjson refuses integers of more than 64 bits."""
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True
