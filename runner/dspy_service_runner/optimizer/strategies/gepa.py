"""GEPA: reflects on feedback, keeps a Pareto front of candidates, resumes from its own state."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
from dspy.teleprompt.gepa.gepa import AUTO_RUN_SETTINGS
from dspy.utils.callback import BaseCallback

from dspy_service_runner.optimizer.candidates import Candidates, state_of
from dspy_service_runner.optimizer.checkpoint import drop_special_files
from dspy_service_runner.optimizer.failures import JobFailed
from dspy_service_runner.optimizer.progress import Progress
from dspy_service_runner.optimizer.strategies.strategy import Plan, Strategy

_BUDGETS = ("auto", "max_full_evals", "max_metric_calls")


class Gepa(Strategy):
    feedback = True
    counts_calls = False

    def check(self, plan: Plan) -> None:
        given = [name for name in _BUDGETS if plan.option(name) is not None]
        if len(given) != 1:
            said = f"it got {', '.join(given)}" if given else "it got none"
            raise JobFailed("InvalidOptimizer", f"GEPA needs exactly one budget of {', '.join(_BUDGETS)}; {said}.")
        if plan.models.reflection is None and plan.option("instruction_proposer") is None:
            raise JobFailed("InvalidOptimizer", "GEPA needs a reflection model (reflection_model_config).")

    def total(self, plan: Plan) -> int:
        splits, auto = plan.splits, plan.option("auto")
        if auto is not None:
            probe = dspy.GEPA(metric=_any_metric, auto=auto, reflection_lm=plan.models.default)
            candidates = AUTO_RUN_SETTINGS[auto]["n"]
            return int(probe.auto_budget(max(plan.predictors, 1), candidates, plan.scoring_rows))
        if plan.option("max_full_evals") is not None:
            return int(plan.option("max_full_evals")) * (len(splits.train) + len(splits.val))
        return int(plan.option("max_metric_calls"))

    def observers(self, plan: Plan, candidates: Candidates) -> list[BaseCallback]:
        return []  # its own callbacks tell more: see `GepaObserver`

    def build(self, plan: Plan, metric: Callable[..., Any], progress: Progress, candidates: Candidates) -> Any:
        optimizer = super().build(plan, _tidying(metric, plan.checkpoint), progress, candidates)
        optimizer.log_dir = str(plan.checkpoint)
        user = plan.kwargs.get("gepa_kwargs") or {}
        observer = GepaObserver(plan.program, progress, candidates, self.total(plan))
        optimizer.gepa_kwargs = {**user, "use_cloudpickle": True, "callbacks": [observer]}
        return optimizer

    def compile(self, optimizer: Any, plan: Plan) -> dspy.Module:
        drop_special_files(plan.checkpoint)
        return super().compile(optimizer, plan)


class GepaObserver:
    """Told by gepa of its budget and of every candidate scored on the validation rows."""

    def __init__(self, program: dspy.Module, progress: Progress, candidates: Candidates, total: int) -> None:
        self._program, self._progress, self._candidates, self._total = program, progress, candidates, total

    def on_budget_updated(self, event: dict[str, Any]) -> None:
        self._progress.set_budget(event["metric_calls_used"], max(self._total, event["metric_calls_used"]))

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


def _any_metric(gold: Any, pred: Any, trace: Any, pred_name: Any, pred_trace: Any) -> float:
    raise NotImplementedError("this optimizer is only asked for its budget")
