"""The one adapter between a user's metric and every optimizer.

Optimizers call metrics with two to five arguments and expect different results. A `Prediction` is true even with a
score of 0, so that bootstrapping would keep wrong answers. Therefore this adapter accepts five arguments, passes on as
many as the metric takes, and returns a plain float, or a `Prediction` if the optimizer reads feedback.
A row on which the metric fails scores 0, as in DSPy, but it is counted and logged. A metric that never worked, or that
fails on more than the allowed share of a stage's rows, ends the run with its own error.
"""

import logging
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import dspy
from dspy.teleprompt.bootstrap_trace import FailedPrediction
from dspy.utils.exceptions import LMError

from dspy_service_runner.optimizer.failures import Interrupt, JobFailed, StopToken, first_line
from dspy_service_runner.optimizer.models.model_errors import AUTHENTICATION, kind_of
from dspy_service_runner.optimizer.settings import Settings
from dspy_service_runner.optimizer.user_code.metrics.failing_rows import (
    ANY_NUMBER,
    Allowance,
    FailingRows,
    row_key,
    row_name,
)
from dspy_service_runner.optimizer.user_code.metrics.judging import judging
from dspy_service_runner.optimizer.user_code.metrics.score import UNUSUAL, Scale, Score, UnusableScore, as_score
from dspy_service_runner.optimizer.user_code.source import positional_arguments, user_line
from dspy_service_runner.optimizer.values.gold import gold_of, prediction_of

logger = logging.getLogger("dspy_service.metric")


def _nothing() -> None:
    pass


class Metric:
    """The user's function, called with as many arguments as it takes, and its errors counted."""

    def __init__(self, function: Callable[..., Any], settings: Settings, share: Decimal | None = None) -> None:
        """`share`: on what share of a stage's rows the metric may fail."""
        self.name = getattr(function, "__name__", "metric")
        self._function = function
        self._arguments = positional_arguments(function)
        self._settings = settings
        self._share = settings.max_failed_rows if share is None else share
        self._lock = threading.Lock()
        self._usable = 0
        self.gold_as_sent = False
        """Whether the metric gets gold outputs as the cells were sent, not converted to types: see `gold_check`."""
        self.text_or_none: frozenset[str] = frozenset()
        """Output fields in which the answer "None" may mean None."""
        self.errors = 0
        self.first_error: BaseException | None = None
        self.scale = Scale()
        self.objectives: frozenset[str] = frozenset()
        """Names of the scores that it returned beside the one."""

    def score(self, *arguments: Any) -> Score:
        """Raises what the metric raises."""
        gold, pred, *rest = arguments
        shown = gold_of(gold, as_sent=self.gold_as_sent)
        given = (shown, prediction_of(pred, shown, self.text_or_none), *rest)
        with judging():
            score = as_score(self._function(*given[: self._arguments]))
        if not self.objectives >= score.objectives.keys():
            with self._lock:
                self.objectives |= score.objectives.keys()
        if not self.scale.covers(score.value):
            self._widen_scale(score.value)
        return score

    def _widen_scale(self, value: float) -> None:
        with self._lock:
            news = self.scale.usual
            self.scale = self.scale.with_score(value)
        if news:
            logger.warning("the metric returned %g, which is outside 0 to 1: %s", value, UNUSUAL)

    def allowance(self, rows: int, least: int = 0) -> Allowance:
        """How much may fail in a stage with this many rows."""
        return Allowance(rows, self._share, self._settings.failing_metric_failures, least)

    def failure(self) -> JobFailed:
        return failure_from(self.first_error or UnusableScore("the metric failed"))

    def bound(
        self,
        stop_token: StopToken,
        called: Callable[[bool], None],
        *,
        begins: Callable[[], None] = _nothing,
        feedback: bool = False,
        allowed: Allowance = ANY_NUMBER,
    ) -> Callable[..., Any]:
        """The metric as optimizers call it: it returns a float, or a Prediction with feedback."""
        scoring = self.scoring(stop_token, called, begins=begins, allowed=allowed)

        def metric(gold: Any, pred: Any, trace: Any = None, pred_name: Any = None, pred_trace: Any = None) -> Any:
            score = scoring(gold, pred, trace, pred_name, pred_trace)
            return _with_feedback(score) if feedback else score.value

        return metric

    def scoring(
        self,
        stop_token: StopToken,
        called: Callable[[bool], None],
        *,
        begins: Callable[[], None] = _nothing,
        allowed: Allowance = ANY_NUMBER,
    ) -> Callable[..., Score]:
        """The metric for one stage. `begins` is called before each scoring of a whole program, and raises where there
        is to be none; `called` after it, with whether it was for a demo."""
        failing = FailingRows(allowed)

        def score_of(gold: Any, pred: Any, trace: Any = None, pred_name: Any = None, pred_trace: Any = None) -> Score:
            stop_token.check()
            if pred_name is None:
                begins()
            score = self._tolerant(stop_token, failing, gold, pred, trace, pred_name, pred_trace)
            if pred_name is None:
                called(trace is not None)
            stop_token.check()
            return score

        return score_of

    def _tolerant(self, stop_token: StopToken, failing: FailingRows, gold: Any, pred: Any, *rest: Any) -> Score:
        if pred is None or isinstance(pred, FailedPrediction):
            return Score(0.0, "The program failed on this example.")
        try:
            score = self.score(gold, pred, *rest)
        except Interrupt:
            raise
        except BaseException as error:
            self._count_error(stop_token, failing, gold, error)
            said = said_of(error)
            return Score(0.0, sentence(said), said)
        with self._lock:
            self._usable += 1
            failing.worked()
        return score

    def _count_error(self, stop_token: StopToken, failing: FailingRows, gold: Any, error: BaseException) -> None:
        with self._lock:
            self.errors += 1
            self.first_error = self.first_error or error
            failing.failed(row_key(gold), f"{row_name(gold)}: {said_of(error)}")
            failure = self._failure_by(failing, gold, error)
        if self.errors <= self._settings.logged_errors:
            logger.error("the metric failed%s and this row scores 0", user_line(error), exc_info=error)
        if failure is not None:
            stop_token.fail(failure)

    def _failure_by(self, failing: FailingRows, gold: Any, error: BaseException) -> JobFailed | None:
        if failing.too_many:
            return failure_from(error, gold, str(failing))
        never_worked = not self._usable and self.errors >= self._settings.failing_metric_failures
        return self.failure() if never_worked else None

    @property
    def never_worked(self) -> bool:
        return self.errors > 0 and self._usable == 0


def failure_from(error: BaseException, row: Any = None, more: str = "") -> JobFailed:
    """Its message begins with the metric's own error and the row on which it happened."""
    where = "" if row is None else f" ({row_name(row)})"
    message = f"{sentence(said_of(error))}{where}." + _cure(error) + (f"\n{more}" if more else "")
    failure = JobFailed("MetricFailed", message)
    failure.__cause__ = error
    return failure


def _cure(error: BaseException) -> str:
    """Advice if a judge's model has no key: dspy's own message asks for environment variables, which no job can set."""
    models = [cause for cause in (error, error.__cause__) if isinstance(cause, LMError)]
    if not any(kind_of(cause) == AUTHENTICATION for cause in models):
        return ""
    return (
        "\nA model that the metric asks gets its settings and its key by the request's field model_configs, such as "
        '{"judge": {"name": "openai/gpt-4o", "extra": {"api_key": "..."}}} (in a resource: spec.modelConfigs, with '
        'keyFrom); the metric then finds it as models["judge"].'
    )


def said_of(error: BaseException) -> str:
    said = str(error) if isinstance(error, UnusableScore) else f"the metric raised {first_line(error)}"
    return f"{said}{user_line(error)}"


def sentence(said: str) -> str:
    return f"{said[:1].upper()}{said[1:]}"


def _with_feedback(score: Score) -> dspy.Prediction:
    told = {"score": score.value, "feedback": score.feedback or f"This trajectory got a score of {score.value}."}
    return dspy.Prediction(**told, **({"objective_scores": dict(score.objectives)} if score.objectives else {}))
