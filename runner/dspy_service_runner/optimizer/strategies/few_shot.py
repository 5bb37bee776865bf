"""Optimizers that only choose demos: labelled rows, bootstrapped traces, and searches over sets of them."""

from dspy_service_runner.optimizer.strategies.strategy import Plan, Strategy
from dspy_service_runner.optimizer.strategies.with_optuna import OptunaStrategy


class LabeledFewShot(Strategy):
    """Asks neither the model nor the metric."""

    def total(self, plan: Plan) -> int:
        return 0


class BootstrapFewShot(Strategy):
    """Scores rows one by one until it has enough demos; never a candidate."""

    counts_demos = False

    def total(self, plan: Plan) -> int:
        return len(plan.splits.train) * int(plan.option("max_rounds"))


class RandomSearch(Strategy):
    def total(self, plan: Plan) -> int:
        seeds = range(-3, int(plan.option("num_candidate_programs")))
        restrict = plan.compile_option("restrict")
        sets = len(seeds) if restrict is None else len(set(restrict).intersection(seeds))
        return sets * plan.scoring_rows


class OptunaSearch(OptunaStrategy):
    def total(self, plan: Plan) -> int:
        return int(plan.option("num_candidate_programs")) * plan.scoring_rows
