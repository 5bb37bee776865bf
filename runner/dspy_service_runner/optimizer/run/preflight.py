"""Before money is spent: each model answers one small call, and the metric makes a number of a right answer."""

import logging
from typing import Any

import dspy
from dspy.utils.exceptions import LMServerError, LMTimeoutError

from dspy_service_runner.optimizer.models.models import ModelSet, explain
from dspy_service_runner.optimizer.user_code.metric import Metric, UnusableScore

logger = logging.getLogger("dspy_service.preflight")

QUESTION = "Answer with the single word OK."
_PASSING = (LMServerError, LMTimeoutError)
"""Errors of a model that is there: they get dspy's full retries, a refused connection only one."""


def check_models(models: ModelSet) -> None:
    asked: set[tuple[str, str]] = set()
    for role, lm in models.by_role():
        key = (lm.model, repr(sorted(lm.kwargs.items(), key=str)))
        if key not in asked:
            asked.add(key)
            _check_model(role, lm)


def _check_model(role: str, lm: dspy.LM) -> None:
    try:
        try:
            lm.copy(num_retries=min(lm.num_retries, 1))(QUESTION)
        except _PASSING as error:
            logger.warning("the %s model answers with an error and is asked again: %s", role, error)
            lm(QUESTION)
    except Exception as error:
        raise explain(role, lm, error) from error


def check_metric(metric: Metric, program: dspy.Module, example: dspy.Example) -> None:
    """A right answer first, for free. A metric may need more of a prediction than that, so a real one decides."""
    try:
        metric.score(example, right_answer(program, example), None, None, None)
        return
    except UnusableScore as error:
        metric.first_error = error
        raise metric.failure() from error
    except (Exception, SystemExit) as error:
        logger.info("the metric fails on a made-up right answer, and is tried on a real one: %s", error)
    prediction = program(**example.inputs())
    try:
        metric.score(example, prediction, None, None, None)
    except (Exception, SystemExit) as error:
        metric.first_error = error
        raise metric.failure() from error


def right_answer(program: dspy.Module, example: dspy.Example) -> dspy.Prediction:
    """The gold outputs as a prediction; what the module adds of its own (reasoning, say) is empty."""
    fields: dict[str, Any] = {}
    for predictor in program.predictors():
        fields |= dict.fromkeys(predictor.signature.output_fields, "")
    return dspy.Prediction(fields | example.labels()._store)
