"""Optimizers that only write instructions: COPRO and InferRules.

dspy's own end the run when a model refuses a single request for a proposal. Here the search goes on without it.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import dspy
from dspy.primitives.prediction import Completions
from dspy.teleprompt import copro_optimizer
from dspy.utils.exceptions import AdapterParseError

from dspy_service_runner.optimizer.failures import first_line
from dspy_service_runner.optimizer.models.model_errors import CONTEXT_TOO_LONG, refusal_behind
from dspy_service_runner.optimizer.strategies.strategy import Plan, Strategy

logger = logging.getLogger("dspy_service.proposals")


class Copro(Strategy):
    """COPRO takes the number of threads in `eval_kwargs`."""

    def compile_kwargs(self, plan: Plan) -> dict[str, Any]:
        given = plan.compile_kwargs.get("eval_kwargs") or {}
        return super().compile_kwargs(plan) | {"eval_kwargs": {"num_threads": plan.threads, **given}}

    def compile(self, optimizer: Any, plan: Plan) -> dspy.Module:
        optimizer.track_stats = False  # the artifact has no room for them, and those of an empty batch are an error
        with _proposals_that_may_fail():
            return super().compile(optimizer, plan)


class Proposals(dspy.Predict):  # type: ignore[misc]  # dspy is untyped
    """Asks for instructions; a request that the model refuses, or answers with what cannot be parsed, brings none."""

    def __call__(self, **kwargs: Any) -> dspy.Prediction:
        try:
            return super().__call__(**kwargs)
        except Exception as error:
            if refusal_behind(error) is None and not isinstance(error, AdapterParseError):
                raise
            logger.warning("COPRO goes on without the instructions that it asked for: %s", first_line(error))
            nothing: dict[str, list[str]] = {name: [] for name in self.signature.output_fields}
            prediction = dspy.Prediction()
            prediction._completions = Completions(nothing, self.signature)
            return prediction


@contextmanager
def _proposals_that_may_fail() -> Iterator[None]:
    """COPRO's module makes all its requests with `dspy.Predict`, and uses nothing else of `dspy` but the context."""
    copro_optimizer.dspy = SimpleNamespace(Predict=Proposals, context=dspy.context)
    try:
        yield
    finally:
        copro_optimizer.dspy = dspy


class PrivateRules(dspy.InferRules):  # type: ignore[misc]  # dspy is untyped
    """dspy writes the rules into the signature class itself, which all candidates (and the user's code) share, so that
    the last candidate's rules would win whatever their score. Here each candidate gets a class of its own."""

    def induce_natural_language_rules(self, predictor: Any, trainset: list[dspy.Example]) -> str:
        """dspy means to show fewer examples where they do not fit, but does not recognize its own error of that, and
        ends at every other one. Here what is too long is halved, and a candidate whose rules cannot be had goes
        without: it has its demos still."""
        demos = self.get_predictor_demos(trainset, predictor)
        while True:
            try:
                return str(self.rules_induction_program(self.format_examples(demos, predictor.signature)))
            except Exception as error:
                kind = refusal_behind(error)
                if kind is None and not isinstance(error, AdapterParseError):
                    raise
                if kind == CONTEXT_TOO_LONG and len(demos) > 1:
                    demos = demos[: len(demos) // 2]
                    continue
                logger.warning("InferRules goes on without the rules that it asked for: %s", first_line(error))
                return ""

    def update_program_instructions(self, predictor: Any, natural_language_rules: str) -> None:
        predictor.signature = predictor.signature.with_instructions(predictor.signature.instructions)
        if natural_language_rules:
            super().update_program_instructions(predictor, natural_language_rules)


class InferRules(Strategy):
    def optimizer_class(self, plan: Plan) -> type:
        return PrivateRules if plan.optimizer is dspy.InferRules else plan.optimizer
