"""What a metric may return as a score, and the error for anything else."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import dspy

UNUSUAL = "a job's scores are 100 times the metric's average, so they are not within 0 and 100"
ALLOWED = "a bool, a number, a dspy.Prediction with a score, or a dict with a score (and feedback)"


class UnusableScore(Exception):
    """The metric returned something that is no score."""


@dataclass(frozen=True)
class Score:
    value: float
    feedback: str | None = None
    error: str | None = None
    """Why the row could not be scored; it then counts as 0."""
    objectives: Mapping[str, float] = field(default_factory=dict)
    """Further scores by name, for an optimizer that compares by several."""


def as_score(returned: Any) -> Score:
    feedback, objectives = None, None
    if isinstance(returned, dict | dspy.Prediction):
        if "score" not in returned:
            raise UnusableScore(f"the metric returned a {type(returned).__name__} without 'score'; return {ALLOWED}")
        feedback, objectives = returned.get("feedback"), returned.get("objective_scores")
        returned = returned["score"]
    value = _number(returned)
    return Score(value, None if feedback is None else str(feedback), objectives=_objectives(objectives))


def _objectives(returned: Any) -> Mapping[str, float]:
    if returned is None:
        return {}
    if not isinstance(returned, Mapping) or not all(isinstance(name, str) for name in returned):
        raise UnusableScore(f"the metric returned objective_scores that are {_show(returned)}; return numbers by name")
    return {name: _number(score) for name, score in returned.items()}


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


@dataclass(frozen=True)
class Scale:
    """The range of the numbers that a metric has returned so far. DSPy's optimizers assume 0 to 1."""

    lowest: float = 0.0
    highest: float = 1.0
    of_right_answers: float | None = None
    """The best score that a right answer got."""

    @property
    def usual(self) -> bool:
        return (self.lowest, self.highest) == (0.0, 1.0)

    @property
    def perfect(self) -> float:
        """The best possible score. If right answers do not show it, the guess is rather too high than too low, because
        GEPA does not reflect on answers with a perfect score."""
        if self.highest <= 1 or (self.of_right_answers or 0.0) >= self.highest:
            return self.highest
        return max(100.0, 10.0 ** math.ceil(math.log10(self.highest)))

    def covers(self, score: float) -> bool:
        return self.lowest <= score <= self.highest

    def with_score(self, score: float) -> "Scale":
        return replace(self, lowest=min(self.lowest, score), highest=max(self.highest, score))

    def with_right_answer(self, score: float) -> "Scale":
        return replace(self, of_right_answers=max(score, self.of_right_answers or 0.0))

    def document(self) -> dict[str, float]:
        return {"lowest": self.lowest, "highest": self.highest, "perfect_score": self.perfect}
