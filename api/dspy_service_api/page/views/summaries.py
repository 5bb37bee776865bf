"""A job in short: its row of the list, and the head of its page. Made of a JobSummary."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dspy_service_api.page.render import duration, moment_of, number
from dspy_service_api.page.views.figures import figure, mapping

ENDED = ("success", "failed", "cancelled")
STATUSES = ("pending", "validating", "running", *ENDED)
VERDICTS = {"improved": "improved", "no_evidence": "no evidence", "worse": "worse", "unknown": "unknown"}
CAPS = {
    "metric_calls": "metric calls",
    "model_calls": "model calls",
    "tokens": "tokens",
    "cost_usd": "cost",
    "seconds": "time",
}
"""Of a budget, as people say them."""
_MARKS = {
    "pending": "◌",
    "validating": "◔",
    "running": "◑",
    "success": "●",
    "failed": "✕",
    "cancelled": "⊘",
}
"""Beside the word, so that no status is a colour alone."""


@dataclass(frozen=True, slots=True)
class Cap:
    """How much of one cap of a job's budget is taken."""

    name: str
    title: str
    used: float
    most: float

    @property
    def percent(self) -> float:
        return min(100 * self.used / self.most, 100.0) if self.most > 0 else 100.0


@dataclass(frozen=True, slots=True)
class JobHead:
    job_id: str
    called: str
    status: str
    mark: str
    ended: bool
    paused: bool
    now: str
    percent: float | None
    remaining: float | None
    calls: float | None
    calls_total: float | None
    baseline: float | None
    best: float | None
    optimized: float | None
    verdict: str
    verdict_word: str
    interval: tuple[float, float] | None
    difference: float | None
    usage: Mapping[str, Any]
    elapsed: float | None
    caps: tuple[Cap, ...]
    summary: Mapping[str, Any]

    @property
    def score(self) -> float | None:
        """The one that says most so far."""
        return next((each for each in (self.optimized, self.best, self.baseline) if each is not None), None)

    @property
    def score_kind(self) -> str:
        if self.optimized is not None:
            return "test"
        return "validation" if self.best is not None else "baseline, test" if self.baseline is not None else ""


def head_of(summary: Mapping[str, Any], now: datetime | None = None) -> JobHead:
    status, metrics = str(summary["status"]), mapping(summary["latest_metrics"])
    comparison = mapping(summary.get("comparison"))
    ended = status in ENDED
    return JobHead(
        job_id=summary["job_id"],
        called=summary.get("name") or "",
        status=status,
        mark=_MARKS.get(status, "?"),
        ended=ended,
        paused=bool(summary.get("paused")),
        now=_now(summary, metrics, ended),
        percent=100.0 if status == "success" else figure(metrics, "tqdm_percent"),
        remaining=None if ended else summary["estimated_seconds_remaining"],
        calls=figure(metrics, "tqdm_n"),
        calls_total=figure(metrics, "tqdm_total"),
        baseline=figure(metrics, "baseline_test_metric"),
        best=figure(metrics, "best_score"),
        optimized=figure(metrics, "optimized_test_metric"),
        verdict=summary.get("verdict") or "",
        verdict_word=_verdict_word(summary, metrics),
        interval=interval_of(comparison),
        difference=figure(comparison, "difference"),
        usage=mapping(summary.get("usage")),
        elapsed=_elapsed(summary, now or datetime.now(UTC)),
        caps=_caps(summary, metrics),
        summary=summary,
    )


def interval_of(comparison: Mapping[str, Any]) -> tuple[float, float] | None:
    match comparison.get("interval"):
        case [int() | float() as low, int() | float() as high]:
            return float(low), float(high)
    return None


def _verdict_word(summary: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    verdict = summary.get("verdict") or ""
    if verdict == "unknown" and figure(metrics, "optimized_test_metric") is None and summary["status"] == "success":
        return "scored"
    return VERDICTS.get(verdict, verdict)


def _elapsed(summary: Mapping[str, Any], now: datetime) -> float | None:
    if summary["elapsed_seconds"] is not None:
        return float(summary["elapsed_seconds"])
    begun = moment_of(summary["started_at"])
    return (now - begun).total_seconds() if begun else None


def _caps(summary: Mapping[str, Any], metrics: Mapping[str, Any]) -> tuple[Cap, ...]:
    """In the budget's own terms: tokens sent and received, and seconds of all attempts together."""
    given, usage = mapping(summary.get("budget")), mapping(summary.get("usage"))
    tokens = (figure(usage, "prompt_tokens") or 0.0) + (figure(usage, "completion_tokens") or 0.0)
    used = {
        "metric_calls": figure(metrics, "tqdm_n"),
        "model_calls": (figure(usage, "calls") or 0.0) + (figure(usage, "calls_unknown") or 0.0),
        "tokens": tokens,
        "cost_usd": figure(usage, "cost_usd"),
        "seconds": figure(summary, "running_seconds"),
    }
    caps = ((name, figure(given, name)) for name in CAPS)
    return tuple(Cap(name, CAPS[name], used[name] or 0.0, most) for name, most in caps if most is not None)


def _now(summary: Mapping[str, Any], metrics: Mapping[str, Any], ended: bool) -> str:
    """What happens now, in one sentence."""
    if notice := summary.get("notice"):
        return f"Waiting: {notice}"
    if ended or summary["status"] in ("pending", "validating"):
        return str(summary["message"])
    return _search(summary, metrics)


def _search(summary: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    optimizer = str(summary["optimizer_name"])
    done, total = figure(metrics, "tqdm_n"), figure(metrics, "tqdm_total")
    best, baseline = figure(metrics, "best_score"), figure(metrics, "baseline_test_metric")
    if (hit := metrics.get("budget_hit")) in CAPS and figure(metrics, "optimized_test_metric") is None:
        return f"The budget is spent ({CAPS[str(hit)]}); the best program so far is being scored on the test rows."
    if figure(metrics, "optimized_test_metric") is not None:
        return "The best program was scored on the test rows; the result is being stored."
    if baseline is None:
        return "The program as it was given is being scored on the test rows."
    if done is None:
        return f"The program as given scored {baseline:.1f} on the test rows; {optimizer} begins to search."
    of = f" of about {number(total)}" if total else ""
    found = f"; the best candidate so far scored {best:.1f} on the validation rows" if best is not None else ""
    left = summary["estimated_seconds_remaining"]
    ends = f"; about {duration(left)} are left" if left is not None else ""
    return f"{optimizer} searches: {number(done)}{of} metric calls are done{found}{ends}."
