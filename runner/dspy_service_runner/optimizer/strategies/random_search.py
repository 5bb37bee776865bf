"""BootstrapFewShotWithRandomSearch: sets of demos, each of them scored."""

import functools
from typing import Any

import dspy

from dspy_service_runner.optimizer.strategies.beside.demo_sets import search_beside
from dspy_service_runner.optimizer.strategies.strategy import Plan, Strategy


class RandomSearch(Strategy):
    def compile(self, optimizer: Any, plan: Plan) -> dspy.Module:
        """Sets are made while others are scored; not where the user has said how many rows may be under way."""
        compiled = functools.partial(super().compile, optimizer, plan)
        in_order = optimizer.stop_at_score is not None or "num_threads" in plan.kwargs
        return compiled() if in_order else search_beside(compiled, plan.threads)
