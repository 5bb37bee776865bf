"""The common way to run an optimizer: it gets every argument that its signature asks for and the service has.

That is enough for most of DSPy's optimizers, and for those that nobody here knows (an operator's own). What is known
of a family before a run is in `dspy_service_core.optimizers`; here a family changes how it is run.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import dspy
from dspy.utils.callback import BaseCallback

from dspy_service_core.optimizers.calls import Calls, Range
from dspy_service_core.optimizers.family import Family, Setup
from dspy_service_core.optimizers.family_table import UNKNOWN
from dspy_service_core.optimizers.options import Options
from dspy_service_core.records.run import ScoredOn
from dspy_service_core.resource.splits import Fractions
from dspy_service_core.resource.words import resource_words
from dspy_service_runner.optimizer.failures import JobFailed, first_line
from dspy_service_runner.optimizer.models.models import ModelSet
from dspy_service_runner.optimizer.progress.candidates import Candidates, EvaluationObserver
from dspy_service_runner.optimizer.splits import Splits
from dspy_service_runner.optimizer.user_code.metrics.score import Scale
from dspy_service_runner.optimizer.user_code.programs.joined import Joined


@dataclass(frozen=True)
class Plan:
    """All that is known of an optimizer's run before it begins. The user's kwargs win over the operator's."""

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
    split_column: str = ""
    joined: Joined | None = None
    """Programs of earlier jobs, for an optimizer that joins whole programs."""
    may_run_out: bool = False
    """Whether the job has a budget."""

    @cached_property
    def options(self) -> Options:
        return Options(
            init={**_constructor_defaults(self.optimizer), **self.kwargs},
            compile={**_defaults(_compile_parameters(self.optimizer)), **self.compile_kwargs},
        )

    @property
    def scores_on(self) -> ScoredOn:
        """Which rows the optimizer scores its candidates on."""
        return "validation" if self.splits.val and self.options.uses_validation_rows else "training"

    @property
    def setup(self) -> Setup:
        """Its messages name the fields of the resource, because the API has already refused what it could refuse in a
        request."""
        return Setup(
            name=f"Optimizer '{self.name}'",
            options=self.options,
            counts=self.splits.counts,
            fractions=self.fractions,
            models={role: lm.model for role, lm in self.models.by_role()},
            words=resource_words,
            split_column=self.split_column,
            programs=len(self.joined.members) if self.joined else None,
        )


class Counting(Protocol):
    """What an optimizer tells that counts its metric calls itself."""

    def set_calls(self, calls: int) -> None: ...


class Strategy:
    feedback = False
    """Whether the optimizer reads feedback: it then gets a Prediction from the metric instead of a float."""
    optimizes = True
    """False if the given program is scored, and that is all."""
    counts_calls = True
    """False if the optimizer counts its metric calls itself."""
    state_tells = True
    """Whether what the optimizer does to a program is in the program's state."""

    def __init__(self, family: Family = UNKNOWN) -> None:
        self._family = family

    @property
    def joins(self) -> bool:
        return self._family.joins

    def check(self, plan: Plan) -> None:
        """Raises `JobFailed` for what the optimizer would refuse only after money was spent. A job is checked for the
        same when it is submitted, but perhaps without its rows, and not if an operator added a variant of one of DSPy's
        optimizers."""
        for objection in self._family.objections(plan.setup):
            raise JobFailed("InvalidOptimizer", objection)

    def calls(self, plan: Plan) -> Calls | None:
        return self._family.calls(plan.options, plan.splits.counts, len(plan.program.predictors()))

    def runs_a_row(self, plan: Plan) -> Range:
        """How often the program runs when the optimized one is called on a row."""
        return self._family.runs_a_row(plan.options, plan.splits.counts)

    @property
    def looks_rows_up(self) -> bool:
        """Whether an embedder is asked for each row that the optimized program is called on."""
        return self._family.embeds_rows

    def total(self, calls: Calls) -> int:
        """The metric calls that are known beforehand. Those for demos are added as they happen, unless there are no
        others: then they are the total."""
        return calls.scores.most or calls.demos.most

    def full_rows(self, plan: Plan) -> int:
        """Rows that a candidate is scored on when it is scored fully."""
        return self._family.full_rows(plan.options, plan.splits.counts)

    def init_kwargs(self, plan: Plan, metric: Callable[..., Any]) -> dict[str, Any]:
        """What the service sets; `build` passes only what the constructor takes."""
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
        """Callbacks that report the candidates."""
        return [EvaluationObserver(candidates, self.full_rows(plan))]

    def build(self, plan: Plan, metric: Callable[..., Any], progress: Counting, candidates: Candidates) -> Any:
        """Constructs the optimizer, so that wrong kwargs are found before any model is asked."""
        parameters = inspect.signature(plan.optimizer).parameters
        taken = {*parameters, "metric"} if _takes_any(parameters.values()) else set(parameters)
        service = {k: v for k, v in self.init_kwargs(plan, metric).items() if k in taken and v is not None}
        if "num_threads" in parameters:
            service["num_threads"] = plan.threads
        try:
            return self.optimizer_class(plan)(**(plan.kwargs | service))
        except JobFailed:
            raise
        except Exception as error:
            raise refused(plan, error) from error

    def records(self, plan: Plan) -> Mapping[str, Any]:
        """Files for the artifact, by name: what the optimized program needs beside its state, as JSON."""
        return {}

    def modules(self, plan: Plan) -> tuple[ModuleType, ...]:
        """Further modules of the optimized program that its pickle has to hold by value."""
        return ()

    def check_metric(self, plan: Plan, objectives: frozenset[str]) -> None:
        """Raises `JobFailed` if the optimizer needs more of the metric than it returned so far. `objectives` are the
        names of the scores that it returned beside the one."""

    def use_scale(self, optimizer: Any, plan: Plan, scale: Scale) -> None:
        """Tells the range of this metric's scores to an optimizer that assumes 0 to 1; most need not be told."""

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
    """Includes those of a base class's constructor, if `**kwargs` are passed on to it."""
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
