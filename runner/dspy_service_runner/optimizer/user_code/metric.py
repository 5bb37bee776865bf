"""The one adapter between a user's metric and every optimizer.

Optimizers call metrics with two to five arguments and differ in what they take back; a `Prediction` is true even with
a score of 0, which makes bootstrapping keep wrong answers. So: always five arguments here, as many as the metric takes
there, and a plain float back, or a `Prediction` with feedback where the optimizer reads feedback.
A metric that raises scores 0, as it does in DSPy, but it is counted and said; one that never worked ends the run.
"""

import logging
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dspy
from dspy.teleprompt.bootstrap_trace import FailedPrediction

from dspy_service_runner.optimizer.failures import Interrupt, JobFailed, StopToken, first_line
from dspy_service_runner.optimizer.settings import Settings
from dspy_service_runner.optimizer.user_code.judging import judging
from dspy_service_runner.optimizer.user_code.source import positional_arguments, user_line
from dspy_service_runner.optimizer.values.gold import gold_of, prediction_of

logger = logging.getLogger("dspy_service.metric")

ALLOWED = "a bool, a number, a dspy.Prediction with a score, or a dict with a score (and feedback)"


class UnusableScore(Exception):
    """The metric returned something that is no score."""


@dataclass(frozen=True)
class Score:
    value: float
    feedback: str | None = None
    error: str | None = None
    """Why there is none: such a row counts as 0."""


def as_score(returned: Any) -> Score:
    feedback = None
    if isinstance(returned, dict | dspy.Prediction):
        if "score" not in returned:
            raise UnusableScore(f"the metric returned a {type(returned).__name__} without 'score'; return {ALLOWED}")
        feedback = returned.get("feedback")
        returned = returned["score"]
    value = _number(returned)
    return Score(value, None if feedback is None else str(feedback))


def _number(returned: Any) -> float:
    if returned is None or isinstance(returned, str | bytes | list | tuple | set):
        raise UnusableScore(f"the metric returned {_show(returned)}; return {ALLOWED}")
    try:
        value = float(returned)
    except OverflowError:
        raise UnusableScore(f"the metric returned {_show(returned)} that is too large; return {ALLOWED}") from None
    except (TypeError, ValueError):
        raise UnusableScore(f"the metric returned {_show(returned)}; return {ALLOWED}") from None
    if not math.isfinite(value):
        raise UnusableScore(f"the metric returned {value}; return a finite number")
    return value


def _show(returned: Any) -> str:
    return "None" if returned is None else f"a {type(returned).__name__}"


class Metric:
    """The user's function, called the way it wants to be, with its errors counted."""

    def __init__(self, function: Callable[..., Any], settings: Settings) -> None:
        self.name = getattr(function, "__name__", "metric")
        self._function = function
        self._arguments = positional_arguments(function)
        self._settings = settings
        self._lock = threading.Lock()
        self._usable = 0
        self.gold_as_sent = False
        """Whether gold outputs are the dataset's own cells: see `gold_check`."""
        self.text_or_none: frozenset[str] = frozenset()
        """Outputs in which a model's "None" may be None."""
        self.errors = 0
        self.first_error: BaseException | None = None

    def score(self, *arguments: Any) -> Score:
        """Raises what the metric raises."""
        gold, pred, *rest = arguments
        shown = gold_of(gold, as_sent=self.gold_as_sent)
        given = (shown, prediction_of(pred, shown, self.text_or_none), *rest)
        with judging():
            return as_score(self._function(*given[: self._arguments]))

    def failure(self) -> JobFailed:
        error = self.first_error or UnusableScore("the metric failed")
        said = _said(error)
        failure = JobFailed("MetricFailed", f"{said[:1].upper()}{said[1:]}.")
        failure.__cause__ = error
        return failure

    def bound(
        self,
        stop_token: StopToken,
        called: Callable[[bool], None],
        *,
        feedback: bool = False,
    ) -> Callable[..., Any]:
        """As optimizers call it: for a float, or for a Prediction with feedback."""
        scoring = self.scoring(stop_token, called)

        def metric(gold: Any, pred: Any, trace: Any = None, pred_name: Any = None, pred_trace: Any = None) -> Any:
            score = scoring(gold, pred, trace, pred_name, pred_trace)
            return _with_feedback(score) if feedback else score.value

        return metric

    def scoring(self, stop_token: StopToken, called: Callable[[bool], None]) -> Callable[..., Score]:
        """For one stage. `called` hears of each call of a whole program and whether it was for a demo."""

        def score_of(gold: Any, pred: Any, trace: Any = None, pred_name: Any = None, pred_trace: Any = None) -> Score:
            stop_token.check()
            score = self._tolerant(stop_token, gold, pred, trace, pred_name, pred_trace)
            if pred_name is None:
                called(trace is not None)
            stop_token.check()
            return score

        return score_of

    def _tolerant(self, stop_token: StopToken, gold: Any, pred: Any, *rest: Any) -> Score:
        if pred is None or isinstance(pred, FailedPrediction):
            return Score(0.0, "The program failed on this example.")
        try:
            score = self.score(gold, pred, *rest)
        except Interrupt:
            raise
        except BaseException as error:
            self._count_error(stop_token, error)
            said = _said(error)
            return Score(0.0, f"{said[:1].upper()}{said[1:]}", said)
        with self._lock:
            self._usable += 1
        return score

    def _count_error(self, stop_token: StopToken, error: BaseException) -> None:
        with self._lock:
            self.errors += 1
            self.first_error = self.first_error or error
            hopeless = not self._usable and self.errors >= self._settings.failing_metric_failures
        if self.errors <= self._settings.logged_errors:
            logger.error("the metric failed%s and this row scores 0", user_line(error), exc_info=error)
        if hopeless:
            stop_token.fail(self.failure())

    @property
    def never_worked(self) -> bool:
        return self.errors > 0 and self._usable == 0


def _said(error: BaseException) -> str:
    said = str(error) if isinstance(error, UnusableScore) else f"the metric raised {first_line(error)}"
    return f"{said}{user_line(error)}"


def _with_feedback(score: Score) -> dspy.Prediction:
    return dspy.Prediction(
        score=score.value, feedback=score.feedback or f"This trajectory got a score of {score.value}."
    )
