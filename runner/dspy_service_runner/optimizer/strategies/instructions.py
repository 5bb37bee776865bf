"""Optimizers that only write instructions: COPRO and InferRules."""

from typing import Any

import dspy

from dspy_service_runner.optimizer.strategies.strategy import Plan, Strategy


class Copro(Strategy):
    """COPRO takes the number of threads in `eval_kwargs`."""

    def compile_kwargs(self, plan: Plan) -> dict[str, Any]:
        given = plan.compile_kwargs.get("eval_kwargs") or {}
        return super().compile_kwargs(plan) | {"eval_kwargs": {"num_threads": plan.threads, **given}}


class PrivateRules(dspy.InferRules):  # type: ignore[misc]  # dspy is untyped
    """dspy writes the rules into the signature class itself, which all candidates (and the user's code) share, so that
    the last candidate's rules would win whatever their score. Here each candidate gets a class of its own."""

    def update_program_instructions(self, predictor: Any, natural_language_rules: str) -> None:
        predictor.signature = predictor.signature.with_instructions(predictor.signature.instructions)
        super().update_program_instructions(predictor, natural_language_rules)


class InferRules(Strategy):
    def optimizer_class(self, plan: Plan) -> type:
        return PrivateRules if plan.optimizer is dspy.InferRules else plan.optimizer
