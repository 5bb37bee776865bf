"""BetterTogether: a chain of prompt optimizers, each of which goes on from what the one before it made.

Each step runs in its own optimizer's way (`Step`), as if the job had named it alone. The chain itself scores what each
step returns on the validation rows, and returns the best.
"""

import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import dspy
from dspy.teleprompt.teleprompt import Teleprompter
from dspy.utils.callback import BaseCallback

from dspy_service_core.optimizers.family import Part
from dspy_service_runner.optimizer.program_state import State, drop_trials
from dspy_service_runner.optimizer.progress.candidates import UNKNOWN, Candidates, EvaluationObserver, Origin
from dspy_service_runner.optimizer.splits import Splits
from dspy_service_runner.optimizer.strategies.strategy import Counting, Plan, Strategy
from dspy_service_runner.optimizer.user_code.metrics.score import Scale
from dspy_service_runner.optimizer.user_code.resolve import find_class

logger = logging.getLogger("dspy_service.together")

_SEED = 0
"""Where the job gives none: the rows are shuffled between the steps, and a resumed job must shuffle them alike."""


class Together(Strategy):
    feedback = True
    """Some of the steps may read it; the others get its score."""

    def __init__(self, family: Any, strategy_for: Callable[[type], Strategy]) -> None:
        super().__init__(family)
        self._strategy_for = strategy_for

    def observers(self, plan: Plan, candidates: Candidates) -> list[BaseCallback]:
        return []  # each step has its own, and the chain one for its own scores

    def build(self, plan: Plan, metric: Callable[..., Any], progress: Counting, candidates: Candidates) -> Any:
        steps = {}
        for key, part in self._family.parts(plan.options).items():
            found = find_class(part.asset.path, f"optimizer '{part.name}'", "InvalidOptimizer")
            step = Step(self._strategy_for(found), _plan_of(part, found, plan), metric, candidates)
            step.made()  # it may refuse its arguments
            steps[key] = step
        return Chain(metric, candidates, steps)

    def check_metric(self, plan: Plan, objectives: frozenset[str]) -> None:
        for part in self._family.parts(plan.options).values():
            found = find_class(part.asset.path, f"optimizer '{part.name}'", "InvalidOptimizer")
            self._strategy_for(found).check_metric(_plan_of(part, found, plan), objectives)

    def use_scale(self, optimizer: Any, plan: Plan, scale: Scale) -> None:
        for step in optimizer.optimizers.values():
            step.scale = scale

    def compile_kwargs(self, plan: Plan) -> dict[str, Any]:
        seed = plan.compile_kwargs.get("seed")
        return super().compile_kwargs(plan) | {"num_threads": plan.threads, "seed": _SEED if seed is None else seed}

    def compile(self, optimizer: Any, plan: Plan) -> dspy.Module:
        """The steps have their own arguments, and BetterTogether wants a model on each predictor."""
        own = {name: value for name, value in plan.compile_kwargs.items() if name != "optimizer_compile_args"}
        program = plan.program.deepcopy()
        added = _with_model(program, plan.models.default)
        for step in optimizer.optimizers.values():
            step.modelless = added
        compiled = super().compile(optimizer, replace(plan, program=program, compile_kwargs=own))
        optimizer.raise_failure()
        _without_model(compiled, added)
        return compiled


class Chain(dspy.BetterTogether):  # type: ignore[misc]  # dspy is untyped
    """Tells of the programs that it scores. If a step fails, dspy's class goes on with what it has."""

    def __init__(self, metric: Callable[..., Any], candidates: Candidates, steps: "Mapping[str, Step]") -> None:
        super().__init__(_score_of(metric), **steps)
        self._candidates = candidates

    def raise_failure(self) -> None:
        for step in self.optimizers.values():
            if step.failure is not None:
                raise step.failure

    def _evaluate_on_valset(self, program: Any, valset: Any, *arguments: Any) -> Any:
        with _observed([EvaluationObserver(self._candidates, len(valset or ()))]):
            return super()._evaluate_on_valset(program, valset, *arguments)


@dataclass
class Step(Teleprompter):  # type: ignore[misc]  # dspy is untyped
    """One optimizer of the chain. It is constructed anew whenever its turn comes: some keep what they have found."""

    strategy: Strategy
    plan: Plan
    metric: Callable[..., Any]
    candidates: Candidates
    scale: Scale = field(default_factory=Scale)
    modelless: set[str] = field(default_factory=set)
    """Predictors that have no model of their own: in a step they take the one that is configured, as in a job."""
    failure: Exception | None = None

    def made(self) -> Any:
        return self._made(self.plan, self.candidates)

    def _made(self, plan: Plan, candidates: Any) -> Any:
        metric = self.metric if self.strategy.feedback else _score_of(self.metric)
        optimizer = self.strategy.build(plan, metric, Uncounted(), candidates)
        self.strategy.use_scale(optimizer, plan, self.scale)
        return optimizer

    def compile(self, student: Any, *, trainset: list[Any], valset: list[Any] | None = None) -> Any:
        logger.info("%s begins", self.plan.name)
        shutil.rmtree(self.plan.checkpoint, ignore_errors=True)  # from an earlier turn, or an earlier attempt's
        self.plan.checkpoint.mkdir(parents=True)
        given = student.deepcopy()
        models = _without_model(given, self.modelless)
        splits = Splits(list(trainset), list(valset or ()), self.plan.splits.test)
        plan = replace(self.plan, program=given, splits=splits)
        try:
            compiled = self._run(plan)
        except Exception as error:
            self.failure = error
            raise
        drop_trials(compiled)
        for name, predictor in compiled.named_predictors():
            predictor.lm = models.get(name, predictor.lm)
        return compiled

    def _run(self, plan: Plan) -> Any:
        own_rows = plan.splits.val and not plan.options.uses_validation_rows
        candidates: Any = OnOtherRows(self.candidates) if own_rows else self.candidates
        with _observed(self.strategy.observers(plan, candidates)):
            return self.strategy.compile(self._made(plan, candidates), plan)


class Uncounted:
    """The chain's progress is counted by the metric, for all its steps."""

    def set_calls(self, calls: int) -> None:
        pass


class OnOtherRows:
    """The candidates of a step that scores on training rows: their scores do not compare with the chain's."""

    def __init__(self, candidates: Candidates) -> None:
        self._candidates = candidates

    def is_one(self, program: Any) -> bool:
        return self._candidates.is_one(program)

    def own_calls(self) -> int:
        return self._candidates.own_calls()

    def resumed(self, calls: int) -> None:
        self._candidates.resumed(calls)

    def seen(self, state: State, score: float, rows: int, origin: Origin = UNKNOWN) -> int:
        return self._candidates.seen(state, score, rows, origin)

    scored = seen


def _plan_of(part: Part, optimizer: type, plan: Plan) -> Plan:
    return replace(
        plan,
        name=part.name,
        optimizer=optimizer,
        kwargs=dict(part.kwargs),
        compile_kwargs=dict(part.compile_kwargs),
        checkpoint=plan.checkpoint / "step",
    )


def _score_of(metric: Callable[..., Any]) -> Callable[..., float]:
    """A Prediction with feedback is true even with a score of 0."""

    def score(gold: Any, pred: Any, trace: Any = None, pred_name: Any = None, pred_trace: Any = None) -> float:
        return float(metric(gold, pred, trace, pred_name, pred_trace).score)

    return score


@contextmanager
def _observed(observers: list[BaseCallback]) -> Iterator[None]:
    with dspy.context(callbacks=[*dspy.settings.callbacks, *observers]):
        yield


def _with_model(program: dspy.Module, model: Any) -> set[str]:
    """Gives the model to those predictors that have none, and returns their names."""
    added = set()
    for name, predictor in program.named_predictors():
        if predictor.lm is None:
            predictor.lm = model
            added.add(name)
    return added


def _without_model(program: dspy.Module, names: set[str]) -> dict[str, Any]:
    """Takes the models off these predictors, and returns those of all."""
    models = {name: predictor.lm for name, predictor in program.named_predictors()}
    for name, predictor in program.named_predictors():
        if name in names:
            predictor.lm = None
    return models
