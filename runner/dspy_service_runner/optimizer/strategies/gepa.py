"""GEPA: reflects on feedback, keeps a Pareto front of candidates, resumes from its own state."""

import functools
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import dspy
from dspy.utils.callback import BaseCallback
from dspy.utils.exceptions import AdapterParseError

from dspy_service_core.optimizers.calls import Calls
from dspy_service_runner.optimizer.progress.candidates import Candidates
from dspy_service_runner.optimizer.progress.checkpoint import drop_special_files
from dspy_service_runner.optimizer.strategies.gepa_candidates import GepaObserver, ToldSelection
from dspy_service_runner.optimizer.strategies.strategy import Counting, Plan, Strategy
from dspy_service_runner.optimizer.user_code.score import Scale

logger = logging.getLogger("dspy_service.gepa")


class Gepa(Strategy):
    feedback = True
    counts_calls = False

    def total(self, calls: Calls) -> int:
        """GEPA's budget; its last step may exceed it, by how much nobody knows beforehand."""
        return calls.scores.least

    def init_kwargs(self, plan: Plan, metric: Callable[..., Any]) -> dict[str, Any]:
        """An answer that does not parse is easy to learn from, so it becomes feedback unless the job says no."""
        shown = plan.kwargs.get("add_format_failure_as_feedback")
        return super().init_kwargs(plan, metric) | {"add_format_failure_as_feedback": True if shown is None else shown}

    def observers(self, plan: Plan, candidates: Candidates) -> list[BaseCallback]:
        return [PartlyParsed()]  # candidates are reported by gepa's own callbacks: see `gepa_candidates`

    def build(self, plan: Plan, metric: Callable[..., Any], progress: Counting, candidates: Candidates) -> Any:
        optimizer = super().build(plan, _tidying(metric, plan.checkpoint), progress, candidates)
        optimizer.log_dir = str(plan.checkpoint)
        user = plan.kwargs.get("gepa_kwargs") or {}
        observer = GepaObserver(plan.program, progress, candidates)
        selection = ToldSelection(user.get("selection_strategy"), observer)
        own = {"use_cloudpickle": True, "callbacks": [observer], "selection_strategy": selection}
        optimizer.gepa_kwargs = user | own
        return optimizer

    def use_scale(self, optimizer: Any, plan: Plan, scale: Scale) -> None:
        """GEPA does not reflect on answers that reach `perfect_score`, which is 1 by default."""
        if "perfect_score" not in plan.kwargs and scale.perfect > 1:
            optimizer.perfect_score = scale.perfect
            logger.info("perfect_score is %g: the metric returns scores up to %g", scale.perfect, scale.highest)

    def compile(self, optimizer: Any, plan: Plan) -> dspy.Module:
        drop_special_files(plan.checkpoint)
        program = super().compile(optimizer, replace(plan, program=with_own_signatures(plan.program)))
        return with_signatures_of(plan.program, program)


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
