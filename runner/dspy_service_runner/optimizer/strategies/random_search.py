"""BootstrapFewShotWithRandomSearch: sets of demos, each of them scored."""

import functools
from typing import Any

import dspy

from dspy_service_runner.optimizer.strategies.beside.demo_sets import search_beside
from dspy_service_runner.optimizer.strategies.strategy import Plan, Strategy


class RandomSearch(Strategy):
    def compile(self, optimizer: Any, plan: Plan) -> dspy.Module:
        compiled = functools.partial(super().compile, optimizer, plan)
        may_stop = plan.may_run_out or optimizer.stop_at_score is not None
        return compiled() if may_stop else search_beside(optimizer, compiled, plan.threads)
