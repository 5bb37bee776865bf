"""GEPA: reflects on feedback, keeps a Pareto front of candidates, resumes from its own state."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
from dspy.utils.callback import BaseCallback

from dspy_service_core.optimizers.calls import Calls
from dspy_service_runner.optimizer.progress.candidates import Candidates, state_of
from dspy_service_runner.optimizer.progress.checkpoint import drop_special_files
from dspy_service_runner.optimizer.progress.progress import Progress
from dspy_service_runner.optimizer.strategies.strategy import Plan, Strategy


class Gepa(Strategy):
    feedback = True
    counts_calls = False

    def total(self, calls: Calls) -> int:
        """Its budget: how far the last step goes beyond it, nobody knows."""
        return calls.scores.least

    def observers(self, plan: Plan, candidates: Candidates) -> list[BaseCallback]:
        return []  # its own callbacks tell more: see `GepaObserver`

    def build(self, plan: Plan, metric: Callable[..., Any], progress: Progress, candidates: Candidates) -> Any:
        optimizer = super().build(plan, _tidying(metric, plan.checkpoint), progress, candidates)
        optimizer.log_dir = str(plan.checkpoint)
        user = plan.kwargs.get("gepa_kwargs") or {}
        observer = GepaObserver(plan.program, progress, candidates)
        optimizer.gepa_kwargs = {**user, "use_cloudpickle": True, "callbacks": [observer]}
        return optimizer

    def compile(self, optimizer: Any, plan: Plan) -> dspy.Module:
        drop_special_files(plan.checkpoint)
        return super().compile(optimizer, plan)


class GepaObserver:
    """Told by gepa of its budget and of every candidate scored on the validation rows."""

    def __init__(self, program: dspy.Module, progress: Progress, candidates: Candidates) -> None:
        self._program, self._progress, self._candidates = program, progress, candidates

    def on_budget_updated(self, event: dict[str, Any]) -> None:
        self._progress.set_calls(event["metric_calls_used"])

    def on_valset_evaluated(self, event: dict[str, Any]) -> None:
        if event["num_examples_evaluated"] < event["total_valset_size"]:
            return
        program = self._program.deepcopy()
        for name, predictor in program.named_predictors():
            if name in event["candidate"]:
                predictor.signature = predictor.signature.with_instructions(event["candidate"][name])
        score = round(100 * event["average_score"], 2)
        self._candidates.scored(state_of(program), score, event["num_examples_evaluated"])


def _tidying(metric: Callable[..., Any], checkpoint: Path) -> Callable[..., Any]:
    """User code ran just before: see `drop_special_files`."""

    @functools.wraps(metric)
    def tidying(*args: Any, **kwargs: Any) -> Any:
        try:
            return metric(*args, **kwargs)
        finally:
            drop_special_files(checkpoint)

    return tidying
