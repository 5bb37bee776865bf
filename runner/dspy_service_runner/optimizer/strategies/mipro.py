"""MIPROv2: demos and instructions, searched together by optuna."""

import math

from dspy.teleprompt.mipro_optimizer_v2 import AUTO_RUN_SETTINGS, MIN_MINIBATCH_SIZE

from dspy_service_runner.optimizer.failures import JobFailed
from dspy_service_runner.optimizer.strategies.strategy import Plan
from dspy_service_runner.optimizer.strategies.with_optuna import OptunaStrategy


class Mipro(OptunaStrategy):
    def check(self, plan: Plan) -> None:
        auto, candidates, trials = plan.option("auto"), plan.option("num_candidates"), plan.compile_option("num_trials")
        if auto is not None and (candidates is not None or trials is not None):
            raise JobFailed(
                "InvalidOptimizer",
                "MIPROv2 takes either `auto` or `num_candidates` and `num_trials`: set auto to null to give those two.",
            )
        if auto is None and (candidates is None or trials is None):
            raise JobFailed("InvalidOptimizer", "MIPROv2 without `auto` needs both `num_candidates` and `num_trials`.")
        if self._minibatch(plan) and int(plan.compile_option("minibatch_size")) > self.full_rows(plan):
            raise JobFailed(
                "InvalidOptimizer",
                f"MIPROv2's minibatch_size of {plan.compile_option('minibatch_size')} exceeds the validation split's "
                f"{self.full_rows(plan)} rows: give a smaller one, or minibatch=false in compile_kwargs.",
            )

    def full_rows(self, plan: Plan) -> int:
        auto = plan.option("auto")
        if plan.splits.val:
            rows = len(plan.splits.val)
        else:  # its own split of the training rows
            rows = min(1000, max(1, int(len(plan.splits.train) * 0.8)))
        return min(rows, int(AUTO_RUN_SETTINGS[auto]["val_size"])) if auto in AUTO_RUN_SETTINGS else rows

    def total(self, plan: Plan) -> int:
        trials, rows = self._trials(plan), self.full_rows(plan)
        if not self._minibatch(plan):
            return (1 + trials) * rows
        steps = int(plan.compile_option("minibatch_full_eval_steps"))
        full = 1 + trials // steps + (1 if trials % steps else 0)
        return trials * int(plan.compile_option("minibatch_size")) + full * rows

    def _minibatch(self, plan: Plan) -> bool:
        if plan.option("auto") in AUTO_RUN_SETTINGS:
            return self.full_rows(plan) > int(MIN_MINIBATCH_SIZE)
        return bool(plan.compile_option("minibatch"))

    def _trials(self, plan: Plan) -> int:
        auto = plan.option("auto")
        if auto not in AUTO_RUN_SETTINGS:
            return int(plan.compile_option("num_trials"))
        candidates = int(AUTO_RUN_SETTINGS[auto]["n"])
        variables = plan.predictors * (1 if self._zero_shot(plan) else 2)
        return int(max(2 * variables * math.log2(candidates), 1.5 * candidates))

    def _zero_shot(self, plan: Plan) -> bool:
        return all(self._demos(plan, name) == 0 for name in ("max_bootstrapped_demos", "max_labeled_demos"))

    def _demos(self, plan: Plan, name: str) -> int:
        given = plan.compile_option(name)
        return int(plan.option(name) if given is None else given)
