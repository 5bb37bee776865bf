"""Ensemble: the job's program is what the verdict compares with; the joined one is made of programs of earlier jobs.

It asks nobody while it is made: the calls come with the final score, in which each row goes to all of the programs.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import dspy

from dspy_service_core.optimizers.families.joined import SIZE, reduction
from dspy_service_runner.optimizer.progress.candidates import Candidates
from dspy_service_runner.optimizer.strategies.strategy import Counting, Plan, Strategy
from dspy_service_runner.optimizer.user_code.programs import majority
from dspy_service_runner.optimizer.user_code.programs.joined import Joined, work_in_common


class Ensemble(Strategy):
    state_tells = False

    def build(self, plan: Plan, metric: Callable[..., Any], progress: Counting, candidates: Candidates) -> Any:
        return plan.optimizer(reduce_fn=majority.majority(counted_field(plan)), size=plan.kwargs.get(SIZE))

    def compile(self, optimizer: Any, plan: Plan) -> dspy.Module:
        joined = _joined(plan)
        work_in_common(joined)
        compiled: dspy.Module = optimizer.compile(joined.modules)
        return compiled

    def modules(self, plan: Plan) -> tuple[ModuleType, ...]:
        return (majority, *_joined(plan).user_modules)


def counted_field(plan: Plan) -> str | None:
    """None for the last one of the answers."""
    found = reduction(plan.kwargs)
    return found.field if found else None


def _joined(plan: Plan) -> Joined:
    assert plan.joined is not None, "made for every optimizer that joins"
    return plan.joined
