"""Checks, before money is spent, that each model answers one small call and that the metric scores a right answer."""

import contextlib
import logging
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dspy
from dspy.dsp.utils.settings import main_thread_config
from dspy.utils.exceptions import LMInvalidRequestError

from dspy_service_core.contract.request import RunRequest
from dspy_service_core.resource import names
from dspy_service_runner.optimizer.failures import JobFailed
from dspy_service_runner.optimizer.models.model_errors import SERVER_ERROR, TIMEOUT, kind_of
from dspy_service_runner.optimizer.models.models import CountedLM, ModelSet, explain
from dspy_service_runner.optimizer.models.spending.caps import Caps
from dspy_service_runner.optimizer.models.spending.ledger import Ledger
from dspy_service_runner.optimizer.run.evaluation import cause_of
from dspy_service_runner.optimizer.run.time_limit import at_most
from dspy_service_runner.optimizer.user_code.metrics.failing_rows import row_name
from dspy_service_runner.optimizer.user_code.metrics.metric import Metric, failure_from, said_of
from dspy_service_runner.optimizer.user_code.metrics.score import UnusableScore
from dspy_service_runner.optimizer.user_code.programs.joined import Joined
from dspy_service_runner.optimizer.user_code.source import user_line, with_cure

logger = logging.getLogger("dspy_service.preflight")

INVALID_BUDGET = "InvalidBudget"
QUESTION = "Answer with the single word OK."
_MOST_ADAPTATIONS = 2
_PASSING = frozenset({SERVER_ERROR, TIMEOUT})
"""Errors of a model that can be reached: it is asked again, with all of dspy's retries. A refused connection gets only
one retry."""


def check_models(models: ModelSet) -> None:
    asked: set[tuple[str, str]] = set()
    for role, lm in models.by_role():
        key = (lm.model, repr((sorted(lm.kwargs.items(), key=str), lm.prices)))
        if key not in asked:
            asked.add(key)
            _check_model(role, lm)
    for name, embedder in models.embedders.items():
        try:
            embedder.check(QUESTION)
        except Exception as error:
            raise explain(name, embedder, error) from error


def check_budget(models: ModelSet, caps: Caps, ledger: Ledger) -> None:
    """By what the models' first answers told of themselves: a cap on what they do not tell could not be kept."""
    for name in ledger.models_without("tokens") if caps.caps("tokens") else ():
        raise JobFailed(
            INVALID_BUDGET,
            f"The {name} model does not say how many tokens an answer took, so a budget of tokens cannot be kept: take "
            "out budget.tokens (in a resource: spec.budget.tokens), and cap model_calls in its place.",
        )
    for name in ledger.models_without("cost") if caps.caps("cost_usd") else ():
        raise JobFailed(
            INVALID_BUDGET,
            f"Nobody says what a call of the {name} model costs, so a budget of money cannot be kept: give its prices "
            f"in {_prices_field(models, name)}.",
        )


def _prices_field(models: ModelSet, name: str) -> str:
    given = RunRequest.model_field(name)
    in_spec = f"spec.models.{name}" if name in names.MODEL_ROLES else f"spec.modelConfigs.{name}"
    return f"{given}.prices (in a resource: {in_spec}.prices)"


def _check_model(role: str, lm: CountedLM) -> None:
    try:
        try:
            _ask(role, lm)
        except Exception as error:
            if kind_of(error) not in _PASSING:
                raise
            logger.warning("the %s model answers with an error and is asked again: %s", role, error)
            lm(QUESTION)
    except Exception as error:
        raise explain(role, lm, error) from error


def _ask(role: str, lm: CountedLM) -> None:
    """Asks again with changed settings if the model refuses only their form."""
    for _ in range(_MOST_ADAPTATIONS):
        try:
            lm.copy(num_retries=min(lm.num_retries, 1))(QUESTION)
            return
        except LMInvalidRequestError as error:
            if not (change := lm.adapt(error)):
                raise
            logger.warning("the %s model %s refuses a setting, and is asked with %s instead", role, lm.model, change)
    lm.copy(num_retries=min(lm.num_retries, 1))(QUESTION)


def spread(rows: Sequence[dspy.Example], most: int) -> list[dspy.Example]:
    """At most this many of the rows, spread evenly from the first to the last."""
    wanted = min(most, len(rows))
    return [rows[round(step * (len(rows) - 1) / max(wanted - 1, 1))] for step in range(wanted)]


def check_program(program: dspy.Module, rows: Sequence[dspy.Example], seconds: float) -> None:
    """Runs a program of the user's own on real rows; one that works is enough. Its calls come from the journal when an
    optimizer makes them again."""
    known = {predictor.stage for predictor in program.predictors()}
    ran: dict[str, dspy.Predict] = {}
    configured = main_thread_config["lm"]  # a context hides what is changed below it

    def answer(row: dspy.Example) -> None:
        with dspy.context(trace=[]):
            if _answer(program, row, seconds) is None:
                raise _Unanswered("it returned None")
            ran.update({predictor.stage: predictor for predictor, *_ in dspy.settings.trace})

    troubles = _until_one_works(rows, answer)
    if main_thread_config["lm"] is not configured:
        raise JobFailed(
            "InvalidProgram",
            "The program's forward calls dspy.configure, which would fail in the optimizer's threads: use "
            "dspy.context(lm=models[...]) around the calls.",
        )
    if troubles:
        raise _none_works(troubles)
    if unseen := [f"'{its.signature.__name__}'" for stage, its in ran.items() if stage not in known]:
        logger.warning("No optimizer sees the predictors that forward makes anew: %s.", ", ".join(unseen))
    if known.isdisjoint(ran):
        logger.warning("On %s the program called none of its predictors.", row_name(rows[0]))


def check_joined(
    joined: Joined, gold: Collection[str], rows: Sequence[dspy.Example], seconds: float, field: str | None
) -> None:
    """Runs each of an ensemble's programs by itself, as `check_program` does: where one fails, all fail. And their
    answers must be such that they can be counted and scored. `gold`: fields for which a row has an answer."""
    answers: dict[str, dspy.Prediction] = {}
    with contextlib.chdir(joined.folder):
        for member in joined.members:
            try:
                check_program(member.module, rows, seconds)
            except JobFailed as failure:
                raise JobFailed(failure.reason, f"{member.name}: {failure.message}") from failure
            answers[member.name] = _counted(member.name, _first_answer(member.module, rows, seconds), field)
    _check_alike(answers, gold, field)


def _first_answer(program: dspy.Module, rows: Sequence[dspy.Example], seconds: float) -> Any:
    found: list[Any] = []
    _until_one_works(rows, lambda row: found.append(_answer(program, row, seconds)))
    return found[-1] if found else None


def _counted(name: str, answer: Any, field: str | None) -> dspy.Prediction:
    if not isinstance(answer, dspy.Prediction):
        raise JobFailed(
            "InvalidProgram",
            f"{name}: It gives a {type(answer).__name__}, and dspy.majority counts a field of dspy.Predictions: only "
            "programs that return one can be joined.",
        )
    if not answer.keys():
        raise JobFailed("InvalidProgram", f"{name}: Its answers hold no field, so nothing of them can be counted.")
    if field is not None and field not in answer:
        known = ", ".join(map(repr, answer.keys()))
        raise JobFailed("InvalidOptimizer", f"{name}: Its answers have no '{field}', which is counted, but {known}.")
    return answer


def _check_alike(answers: Mapping[str, dspy.Prediction], gold: Collection[str], field: str | None) -> None:
    """A metric reads of the answer that wins, whichever program gave it. Without a field, the last one is counted."""
    (first, its), *others = ((name, list(answer.keys())) for name, answer in answers.items())
    for name, keys in others:
        if differing := [key for key in gold if (key in its) != (key in keys)]:
            has, lacks = (first, name) if differing[0] in its else (name, first)
            raise JobFailed(
                "InvalidProgram", f"The answers of {has} have '{differing[0]}', and those of {lacks} do not."
            )
        if field is None and its[-1:] != keys[-1:]:
            raise JobFailed(
                "InvalidOptimizer",
                f"The answers of {first} end with '{its[-1]}', and those of {name} with '{keys[-1]}': name the field "
                'that is counted in spec.optimizer.kwargs.reduce_fn, such as {"name": "majority", "field": "label"}.',
            )


def _answer(program: dspy.Module, row: dspy.Example, seconds: float) -> Any:
    late = JobFailed("ProgramFailed", f"The program gave no answer for {row_name(row)} after {seconds:g} seconds.")
    process = os.getpid()
    try:
        with at_most(seconds, late):
            return program(**row.inputs())
    except (Exception, SystemExit) as error:
        raise _Unanswered(with_cure(f"{cause_of(error)}{user_line(error)}", error)) from error
    finally:
        if os.getpid() != process:  # it forked, and this is the other one
            os._exit(0)


def check_metric(metric: Metric, program: dspy.Module, rows: Sequence[dspy.Example]) -> None:
    """Tries the metric on right answers first, which cost nothing. If it fails on them, real predictions decide,
    because it may need more of a prediction than a made-up one has.

    One row on which the metric works is enough.
    """

    def on_right_answer(row: dspy.Example) -> None:
        score = metric.score(row, right_answer(program, row), None, None, None)
        metric.scale = metric.scale.with_right_answer(score.value)

    def on_real_answer(row: dspy.Example) -> None:
        try:
            prediction = program(**row.inputs())
        except Exception as error:
            raise _Unanswered(cause_of(error)) from error
        metric.score(row, prediction, None, None, None)

    made_up = _until_one_works(rows, on_right_answer)
    if not made_up:
        return
    if all(isinstance(trouble.error, UnusableScore) for trouble in made_up):
        raise _none_works(made_up)
    logger.info("the metric fails on a made-up right answer, and is tried on real ones: %s", made_up[0])
    real = _until_one_works(rows, on_real_answer)
    if real:
        raise _none_works(real)


class _Unanswered(Exception):
    """The program failed on a row."""


@dataclass(frozen=True)
class _Trouble:
    row: dspy.Example
    error: BaseException

    def __str__(self) -> str:
        cause = str(self.error) if isinstance(self.error, _Unanswered) else said_of(self.error)
        return f"{row_name(self.row)}: {cause}"


def _until_one_works(rows: Sequence[dspy.Example], attempt: Callable[[dspy.Example], None]) -> list[_Trouble]:
    """What went wrong on each of the rows; an empty list as soon as one works."""
    troubles = []
    for row in rows:
        try:
            attempt(row)
        except (Exception, SystemExit) as error:
            troubles.append(_Trouble(row, error))
        else:
            return []
    return troubles


def _none_works(troubles: Sequence[_Trouble]) -> JobFailed:
    """The metric's own error goes before the program's."""
    of_metric = [trouble for trouble in troubles if not isinstance(trouble.error, _Unanswered)]
    first = (of_metric or troubles)[0]
    tried = "\n".join(["Rows that were tried:", *map(str, troubles)])
    if of_metric:
        return failure_from(first.error, first.row, tried)
    said = f"The program failed on every row that it was tried on: {first.error} ({row_name(first.row)})"
    failure = JobFailed("ProgramFailed", f"{said}\n{tried}")
    failure.__cause__ = first.error.__cause__
    return failure


def right_answer(program: dspy.Module, example: dspy.Example) -> dspy.Prediction:
    """The gold outputs as a prediction; what the module adds of its own (reasoning, say) is empty."""
    fields: dict[str, Any] = {}
    for predictor in program.predictors():
        fields |= dict.fromkeys(predictor.signature.output_fields, "")
    return dspy.Prediction(fields | example.labels()._store)
