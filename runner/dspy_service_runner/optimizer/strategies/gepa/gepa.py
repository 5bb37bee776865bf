"""GEPA: reflects on feedback, keeps a Pareto front of candidates, resumes from its own state."""

import functools
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import dspy
from dspy.utils.callback import BaseCallback
from dspy.utils.exceptions import AdapterParseError

from dspy_service_core.optimizers.calls import Calls
from dspy_service_core.optimizers.families.gepa import FURTHER
from dspy_service_core.optimizers.families.gepa_objects import INSTANCE, PLACES
from dspy_service_runner.optimizer.failures import JobFailed
from dspy_service_runner.optimizer.progress.candidates import Candidates
from dspy_service_runner.optimizer.progress.checkpoint import drop_special_files
from dspy_service_runner.optimizer.strategies.beside.reflections import reflections_beside
from dspy_service_runner.optimizer.strategies.gepa.candidates import GepaObserver, ToldSelection
from dspy_service_runner.optimizer.strategies.gepa.objects import Builder
from dspy_service_runner.optimizer.strategies.strategy import Counting, Plan, Strategy
from dspy_service_runner.optimizer.user_code.metrics.score import Scale

logger = logging.getLogger("dspy_service.gepa")


class Gepa(Strategy):
    feedback = True
    counts_calls = False

    def total(self, calls: Calls) -> int:
        """GEPA's budget; its last step may exceed it, by how much nobody knows beforehand."""
        return calls.budget or calls.scores.least

    def init_kwargs(self, plan: Plan, metric: Callable[..., Any]) -> dict[str, Any]:
        """An answer that does not parse is easy to learn from, so it becomes feedback unless the job says no."""
        shown = plan.kwargs.get("add_format_failure_as_feedback")
        return super().init_kwargs(plan, metric) | {"add_format_failure_as_feedback": True if shown is None else shown}

    def observers(self, plan: Plan, candidates: Candidates) -> list[BaseCallback]:
        return [PartlyParsed()]  # candidates are reported by gepa's own callbacks: see `gepa_candidates`

    def build(self, plan: Plan, metric: Callable[..., Any], progress: Counting, candidates: Candidates) -> Any:
        builder, path = Builder(plan.options.init.get("seed")), plan.setup.kwargs
        user = builder.arguments(plan.kwargs.get(FURTHER) or {}, f"{path}.{FURTHER}")
        kwargs = plan.kwargs | builder.arguments(_objects(plan.kwargs), path)
        metric = _tidying(metric, plan.checkpoint)
        optimizer = super().build(replace(plan, kwargs=kwargs), metric, progress, candidates)
        optimizer.log_dir = str(plan.checkpoint)
        if not isinstance(user.get("batch_sampler", ""), str):
            optimizer.reflection_minibatch_size = None  # the sampler has its own, and gepa refuses both
        observer = GepaObserver(plan.program, progress, candidates)
        selection = ToldSelection(user.get("selection_strategy"), observer)
        own = {"use_cloudpickle": True, "callbacks": [observer], "selection_strategy": selection}
        optimizer.gepa_kwargs = user | own
        return optimizer

    def check_metric(self, plan: Plan, objectives: frozenset[str]) -> None:
        frontier = (plan.kwargs.get(FURTHER) or {}).get("frontier_type") or INSTANCE
        if frontier != INSTANCE and not objectives:
            path = f"{plan.setup.kwargs}.{FURTHER}.frontier_type"
            raise JobFailed(
                "InvalidOptimizer",
                f"{path} '{frontier}' compares candidates by objective scores, and the metric returned none: let it "
                'return a dspy.Prediction with score and objective_scores, such as {"accuracy": 1.0, "brevity": 0.4}.',
            )

    def use_scale(self, optimizer: Any, plan: Plan, scale: Scale) -> None:
        """GEPA does not reflect on answers that reach `perfect_score`, which is 1 by default."""
        if "perfect_score" not in plan.kwargs and scale.perfect > 1:
            optimizer.perfect_score = scale.perfect
            logger.info("perfect_score is %g: the metric returns scores up to %g", scale.perfect, scale.highest)

    def compile(self, optimizer: Any, plan: Plan) -> dspy.Module:
        drop_special_files(plan.checkpoint)
        with reflections_beside(plan.threads):
            program = super().compile(optimizer, replace(plan, program=with_own_signatures(plan.program)))
        return with_signatures_of(plan.program, program)


def _objects(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the constructor's arguments that may be objects."""
    return {name: value for name, value in kwargs.items() if name in PLACES and PLACES[name].within == "kwargs"}


def with_own_signatures(program: dspy.Module) -> dspy.Module:
    """GEPA finds a predictor's traces by its signature, and would mix those of predictors with equal signatures. A mark
    that no prompt shows makes the signatures different."""
    marked = program.deepcopy()
    if len(program.predictors()) < 2:
        return marked
    for name, predictor in marked.named_predictors():
        first = next(iter(predictor.signature.fields))
        predictor.signature = predictor.signature.with_updated_fields(first, predictor=name)
    return marked


def with_signatures_of(given: dspy.Module, program: dspy.Module) -> dspy.Module:
    """Removes the marks, and keeps the optimized instructions."""
    signatures = {name: predictor.signature for name, predictor in given.named_predictors()}
    for name, predictor in program.named_predictors():
        if name in signatures:
            predictor.signature = signatures[name].with_instructions(predictor.signature.instructions)
    return program


class PartlyParsed(BaseCallback):  # type: ignore[misc]  # dspy is untyped
    """dspy 3.4.1 divides a list by a list if an answer holds only some of the fields, and drops the row. Without the
    fields that were found, it is a row whose answer did not parse, and GEPA can learn from it."""

    def on_adapter_parse_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
        if isinstance(exception, AdapterParseError):
            exception.parsed_result = None


def _tidying(metric: Callable[..., Any], checkpoint: Path) -> Callable[..., Any]:
    """Cleans up after each call of the metric, which is user code: see `drop_special_files`."""

    @functools.wraps(metric)
    def tidying(*args: Any, **kwargs: Any) -> Any:
        try:
            return metric(*args, **kwargs)
        finally:
            drop_special_files(checkpoint)

    return tidying
