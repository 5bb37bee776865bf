"""The common way to run an optimizer: whatever its signature asks for and the service has, it gets.

That is enough for most of DSPy's optimizers, and for those that nobody here knows (an operator's own). What is known
of a family before it runs is core's (`dspy_service_core.optimizers`); here a family overrides how it is run.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import dspy
from dspy.utils.callback import BaseCallback

from dspy_service_core.optimizers.calls import Calls
from dspy_service_core.optimizers.families import UNKNOWN
from dspy_service_core.optimizers.family import Family, Setup
from dspy_service_core.optimizers.options import Options
from dspy_service_core.resource.splits import Fractions
from dspy_service_core.resource.words import resource_words
from dspy_service_runner.optimizer.failures import JobFailed, first_line
from dspy_service_runner.optimizer.models.models import ModelSet
from dspy_service_runner.optimizer.progress.candidates import Candidates, EvaluationObserver
from dspy_service_runner.optimizer.progress.progress import Progress
from dspy_service_runner.optimizer.splits import Splits
from dspy_service_runner.optimizer.user_code.score import Scale


@dataclass(frozen=True)
class Plan:
    """All that is known of an optimizer's run before it begins. kwargs are the user's over the operator's defaults."""

    name: str
    optimizer: type
    kwargs: dict[str, Any]
    compile_kwargs: dict[str, Any]
    program: dspy.Module
    splits: Splits
    fractions: Fractions
    models: ModelSet
    threads: int
    checkpoint: Path

    @cached_property
    def options(self) -> Options:
        return Options(
            init={**_constructor_defaults(self.optimizer), **self.kwargs},
            compile={**_defaults(_compile_parameters(self.optimizer)), **self.compile_kwargs},
        )

    @property
    def setup(self) -> Setup:
        """In the words of a resource: what a request could be refused for, the API has refused already."""
        return Setup(
            name=f"Optimizer '{self.name}'",
            options=self.options,
            counts=self.splits.counts,
            fractions=self.fractions,
            models={role: lm.model for role, lm in self.models.by_role()},
            words=resource_words,
        )


class Strategy:
    feedback = False
    """Whether the optimizer reads feedback: it then gets a Prediction from the metric instead of a float."""
    counts_calls = True
    """False where the optimizer keeps its own count."""

    def __init__(self, family: Family = UNKNOWN) -> None:
        self._family = family

    def check(self, plan: Plan) -> None:
        """Raises `JobFailed` for what the optimizer would refuse only after money was spent: a submit was checked for
        the same, but perhaps without its rows, and not for an operator's own kind of one of DSPy's optimizers."""
        for objection in self._family.objections(plan.setup):
            raise JobFailed("InvalidOptimizer", objection)

    def calls(self, plan: Plan) -> Calls | None:
        return self._family.calls(plan.options, plan.splits.counts, len(plan.program.predictors()))

    def total(self, calls: Calls) -> int:
        """Metric calls that can be told beforehand: those for demos come on top of it, except where there are no
        others."""
        return calls.scores.most or calls.demos.most

    def full_rows(self, plan: Plan) -> int:
        """Rows that a candidate is scored on when it is scored fully."""
        return self._family.full_rows(plan.options, plan.splits.counts)

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

    def use_scale(self, optimizer: Any, plan: Plan, scale: Scale) -> None:
        """For an optimizer that takes scores to lie within 0 and 1, where this metric's do not."""

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


def _constructor_defaults(optimizer: type) -> dict[str, Any]:
    """Those of a base's constructor too, where `**kwargs` are handed on to it."""
    found: dict[str, Any] = {}
    for cls in optimizer.__mro__:
        if "__init__" in vars(cls):
            parameters = inspect.signature(vars(cls)["__init__"]).parameters
            found = _defaults(parameters) | found
            if not _takes_any(parameters.values()):
                break
    return found


def _defaults(parameters: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    named = [p for p in parameters.values() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    return {p.name: None if p.default is p.empty else p.default for p in named if p.name != "self"}


def _takes_any(parameters: Iterable[inspect.Parameter]) -> bool:
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)


def refused(plan: Plan, error: Exception) -> JobFailed:
    return JobFailed("InvalidOptimizer", f"{plan.optimizer.__name__} refuses its arguments: {first_line(error)}")
