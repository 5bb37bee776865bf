"""A job's verdict in words, with its evidence: what a reader is told before any score.

A score alone says little: on few rows, chance moves it by many points.
"""

from dspy_service.answers import Result, Summary
from dspy_service.foreign import figure

_WORDS = {"improved": "improved", "no_evidence": "no evidence", "worse": "worse"}
_UNSCORED = "unknown: the budget did not reach for the optimized program's score on the test rows"
_STYLES = {"improved": "bold green", "worse": "bold red"}


def word(verdict: str | None) -> str:
    """Empty where there is none yet."""
    return _WORDS.get(verdict or "", verdict or "")


def style(verdict: str | None) -> str:
    return _STYLES.get(verdict or "", "bold yellow")


def of(summary: Summary) -> str:
    """The verdict in a word; of a job that optimized nothing, that its program was scored."""
    unscored = figure(summary.latest_metrics, "optimized_test_metric") is None
    only_scored = summary.verdict == "unknown" and unscored and not summary.latest_metrics.get("budget_hit")
    return "scored" if only_scored and summary.status == "success" else word(summary.verdict)


def line(result: Result | None) -> str:
    """Empty for a job that ended without a verdict, and for an older service's."""
    comparison = result.comparison if result else None
    if result is None or not result.verdict:
        return ""
    if comparison is None:
        return _UNSCORED if result.budget_hit else _scored(result)
    if result.verdict == "unknown":
        return "unknown: too few test rows were scored to compare the programs"
    rows = f"of {comparison.rows} test rows {comparison.won} won, {comparison.lost} lost, {comparison.tied} tied"
    return f"{word(result.verdict)}: {comparison.difference:+.1f} points ({_interval(result)}); {rows}"


def _scored(result: Result) -> str:
    """For a job that optimized nothing."""
    score = result.baseline_test_metric
    return "" if score is None else f"scored {score:.1f} on {result.split_counts.test} rows"


def program(result: Result | None) -> str:
    """What the job's program may be called."""
    if result and result.verdict and result.comparison is None and not result.budget_hit:
        return "program"
    return "better program" if result and result.verdict == "improved" else "optimized program"


def _interval(result: Result) -> str:
    comparison = result.comparison
    if comparison is None or comparison.interval is None or len(comparison.interval) != 2:
        return "no interval: the scores have no bounds"
    low, high = comparison.interval
    confidence = f"{100 * comparison.confidence:.0f} % " if comparison.confidence else ""
    return f"{confidence}interval {low:.1f} to {high:.1f}"
