"""The common way to run an optimizer: whatever its signature asks for and the service has, it gets.

That is enough for optimizers that nobody here knows (an operator's own). A family overrides the little that is its
own: the total of its metric calls, the rows that it scores candidates on, its models, its rules.
"""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dspy
from dspy.utils.callback import BaseCallback

from dspy_service_runner.optimizer.candidates import Candidates, EvaluationObserver
from dspy_service_runner.optimizer.failures import JobFailed, first_line
from dspy_service_runner.optimizer.models import ModelSet
from dspy_service_runner.optimizer.progress import Progress
from dspy_service_runner.optimizer.splits import Splits


@dataclass(frozen=True)
class Plan:
    """All that is known of an optimizer's run before it begins. kwargs are the user's over the operator's defaults."""

    optimizer: type
    kwargs: dict[str, Any]
    compile_kwargs: dict[str, Any]
    program: dspy.Module
    splits: Splits
    models: ModelSet
    threads: int
    checkpoint: Path

    @property
    def scoring_rows(self) -> int:
        """What an optimizer with an optional validation set scores candidates on."""
        return len(self.splits.val or self.splits.train)

    @property
    def predictors(self) -> int:
        return len(self.program.predictors())

    def option(self, name: str) -> Any:
        """A kwarg of the constructor, or its default there."""
        parameter = inspect.signature(self.optimizer).parameters.get(name)
        return self.kwargs.get(name, None if parameter is None else parameter.default)

    def compile_option(self, name: str) -> Any:
        parameter = _compile_parameters(self.optimizer).get(name)
        return self.compile_kwargs.get(name, None if parameter is None else parameter.default)

    @property
    def takes_valset(self) -> bool:
        return "valset" in _compile_parameters(self.optimizer)


class Strategy:
    feedback = False
    """Whether the optimizer reads feedback: it then gets a Prediction from the metric instead of a float."""
    counts_demos = True
    """Whether metric calls for demos come on top of `total`."""
    counts_calls = True
    """False where the optimizer keeps its own count."""

    def check(self, plan: Plan) -> None:
        """Raises `JobFailed` for what the optimizer would refuse only after money was spent."""

    def total(self, plan: Plan) -> int | None:
        """Metric calls that the optimizer will make at most; None where nobody knows."""
        return None

    def full_rows(self, plan: Plan) -> int:
        """Rows that a candidate is scored on when it is scored fully."""
        return plan.scoring_rows

    def init_kwargs(self, plan: Plan, metric: Callable[..., Any]) -> dict[str, Any]:
        """What the service sets; only what the constructor takes is passed."""
        return {
            "metric": metric,
            "prompt_model": plan.models.prompt,
            "task_model": plan.models.task,
            "reflection_lm": plan.models.reflection,
            "trainset": plan.splits.train,
        }

    def compile_kwargs(self, plan: Plan) -> dict[str, Any]:
        return {"trainset": plan.splits.train, "valset": plan.splits.val or None}

    def observers(self, plan: Plan, candidates: Candidates) -> list[BaseCallback]:
        """Callbacks that tell the candidates; `on_score` of an observer hears every score."""
        return [EvaluationObserver(candidates, self.full_rows(plan))]

    def build(self, plan: Plan, metric: Callable[..., Any], progress: Progress, candidates: Candidates) -> Any:
        """The optimizer, constructed: wrong kwargs show before any model is asked."""
        parameters = inspect.signature(plan.optimizer).parameters
        taken = {*parameters, "metric"} if _takes_any(parameters.values()) else set(parameters)
        service = {k: v for k, v in self.init_kwargs(plan, metric).items() if k in taken and v is not None}
        if "num_threads" in parameters:
            service["num_threads"] = plan.kwargs.get("num_threads") or plan.threads
        try:
            return self.optimizer_class(plan)(**(plan.kwargs | service))
        except JobFailed:
            raise
        except Exception as error:
            raise refused(plan, error) from error

    def optimizer_class(self, plan: Plan) -> type:
        return plan.optimizer

    def compile(self, optimizer: Any, plan: Plan) -> dspy.Module:
        parameters = _compile_parameters(type(optimizer))
        service = {k: v for k, v in self.compile_kwargs(plan).items() if k in parameters and v is not None}
        compiled: dspy.Module = optimizer.compile(plan.program, **(plan.compile_kwargs | service))
        return compiled


def _compile_parameters(optimizer: type) -> Any:
    compile_method = getattr(optimizer, "compile", None)
    if compile_method is None:
        raise JobFailed("InvalidOptimizer", f"{optimizer.__name__} has no `compile`: it is no optimizer.")
    return inspect.signature(compile_method).parameters


def _takes_any(parameters: Iterable[inspect.Parameter]) -> bool:
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)


def refused(plan: Plan, error: Exception) -> JobFailed:
    return JobFailed("InvalidOptimizer", f"{plan.optimizer.__name__} refuses its arguments: {first_line(error)}")
