"""MIPROv2: demos and instructions, searched together by optuna."""

import logging
from typing import Any

import dspy
from dspy.utils.exceptions import LMError

from dspy_service_runner.optimizer.failures import first_line
from dspy_service_runner.optimizer.models.model_errors import OF_ONE_REQUEST, kind_of
from dspy_service_runner.optimizer.strategies.beside.demo_sets import demo_sets_beside
from dspy_service_runner.optimizer.strategies.beside.proposals import proposals_beside
from dspy_service_runner.optimizer.strategies.strategy import Plan
from dspy_service_runner.optimizer.strategies.with_optuna import OptunaStrategy

logger = logging.getLogger("dspy_service.mipro")


class RefusedProposals(dspy.MIPROv2):  # type: ignore[misc]  # dspy is untyped
    """If the prompt model refuses to propose instructions, dspy's class ends the run, although baseline and
    bootstrapping are paid already. Here the search for demos goes on with the given instructions, which are always
    among the candidates."""

    def _propose_instructions(self, program: Any, *args: Any, **kwargs: Any) -> dict[int, list[str]]:
        try:
            proposed: dict[int, list[str]] = super()._propose_instructions(program, *args, **kwargs)
        except LMError as error:
            if kind_of(error) not in OF_ONE_REQUEST:
                raise
            logger.warning("no instructions are proposed: the prompt model refuses to, %s", first_line(error))
            return {i: [predictor.signature.instructions] for i, predictor in enumerate(program.predictors())}
        return proposed


class Mipro(OptunaStrategy):
    def optimizer_class(self, plan: Plan) -> type:
        return RefusedProposals if plan.optimizer is dspy.MIPROv2 else plan.optimizer

    def compile(self, optimizer: Any, plan: Plan) -> dspy.Module:
        with demo_sets_beside(plan.threads), proposals_beside(plan.threads):
            return super().compile(optimizer, plan)
