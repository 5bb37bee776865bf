"""A verdict and its evidence in words and in figures: for the resource's message, `kubectl get` and HTTP answers."""

from dataclasses import fields
from typing import Any

from dspy_service_core.records.run import Comparison, RunResult, Verdict

_WORDS = {"improved": "Improved", "no_evidence": "No evidence of a difference", "worse": "Worse"}
UNSCORED = "Unknown whether it is better: the budget did not reach for its score on the test rows."
UNKNOWN = "Unknown whether it is better: fewer than two test rows were scored."


def sentence(verdict: Verdict | None, comparison: Comparison | None) -> str:
    """Empty where nothing was compared."""
    if verdict is None or comparison is None:
        return ""
    if verdict == "unknown":
        return UNKNOWN
    rows = f"{comparison.won} rows won, {comparison.lost} lost, {comparison.tied} tied"
    interval = _interval(comparison, f"{100 * (comparison.confidence or 0):.0f} % interval ", "no interval")
    return f"{_WORDS[verdict]}: {comparison.difference:+.1f} points ({interval}; {rows})."


def told_of(result: RunResult) -> str:
    """The verdict's sentence of a job's result."""
    if result.verdict == "unknown" and result.budget_hit and result.comparison is None:
        return UNSCORED
    return sentence(result.verdict, result.comparison)


def evaluated(result: RunResult) -> str:
    """The whole result of a job that optimizes nothing; empty for any other job."""
    score = scored(result)
    return f"Scored {score}: nothing was optimized, so there is nothing to compare." if score else ""


def scored(result: RunResult) -> str:
    """Short, for a column: `73.3 on 30 rows`."""
    if (
        result.verdict != "unknown"
        or result.budget_hit
        or result.comparison
        or result.baseline_score is None
        or not result.split_counts
    ):
        return ""
    return f"{result.baseline_score:.1f} on {result.split_counts.test} rows"


def shown(comparison: Comparison) -> str:
    """Short, for a column: the difference and its interval."""
    return f"{comparison.difference:+.1f} ({_interval(comparison, '', 'no interval')})"


def _interval(comparison: Comparison, name: str, none: str) -> str:
    match comparison.interval:
        case [low, high]:
            return f"{name}{low:.1f} to {high:.1f}"
        case _:
            return none


def told(comparison: Comparison) -> dict[str, Any]:
    """As HTTP answers and the artifact's metadata spell it."""
    return {each.name: getattr(comparison, each.name) for each in fields(comparison)}
