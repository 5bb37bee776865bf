"""What both displays say of a job, in words."""

from datetime import datetime

from dspy_service.answers import Summary, Usage
from dspy_service.display.score_trail import ScoreTrail
from dspy_service.display.verdicts import of
from dspy_service.foreign import NO_TIME, figure


def percent(summary: Summary) -> float:
    """The optimizer's own part; before it begins nothing is done, after the end all is."""
    if summary.status == "success":
        return 100.0
    return min(max(figure(summary.latest_metrics, "tqdm_percent") or 0.0, 0.0), 100.0)


def calls(summary: Summary) -> str:
    done, total = (figure(summary.latest_metrics, name) for name in ("tqdm_n", "tqdm_total"))
    if done is None:
        return ""
    return f"{done:,.0f} of {total:,.0f} metric calls" if total else f"{done:,.0f} metric calls"


def time_left(summary: Summary) -> str:
    seconds = summary.estimated_seconds_remaining
    return "" if seconds is None or summary.finished else f"about {duration(seconds)} left"


def usage(summary: Summary) -> str:
    """Calls, tokens and cost; the cost alone where it is known."""
    its = summary.usage
    if its is None or not its.calls:
        return ""
    return ", ".join(part for part in (f"{its.calls:,} model calls", tokens(its), cost(its)) if part)


def tokens(its: Usage) -> str:
    counts = [count for count in (its.prompt_tokens, its.completion_tokens) if count is not None]
    return f"{sum(counts):,} tokens" if counts else ""


def cost(its: Usage) -> str:
    """Small amounts have digits enough to tell them from nothing."""
    if its.cost_usd is None:
        return ""
    return f"${its.cost_usd:,.2f}" if its.cost_usd >= 1 or not its.cost_usd else f"${its.cost_usd:.2g}"


def moment(time: datetime, pattern: str) -> str:
    """`time` as the reader's clock has it; a question mark for what is none."""
    return "?" if time == NO_TIME else f"{time.astimezone():{pattern}}"


def duration(seconds: float) -> str:
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    minutes, seconds = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02} min"


def scores(trail: ScoreTrail) -> list[str]:
    """The best score is on the optimizer's validation rows, the other two are on the test split, so it says so."""
    best = None if trail.optimized is not None else trail.best
    named = [("baseline", trail.baseline, ""), ("best so far", best, " on validation rows")]
    named.append(("optimized", trail.optimized, ""))
    return [f"{name} {score:.1f}{on}" for name, score, on in named if score is not None]


def stage(summary: Summary) -> str:
    """While it runs, `message` is the name of the last event, which the figures beside it say better; what it waits
    for goes before either. An end has its verdict first."""
    if summary.notice:
        return summary.notice
    said = "" if summary.status == "running" else summary.message.partition("\n")[0].removesuffix(".")
    verdict = of(summary)
    return f"{verdict}: {said}" if verdict and not said.lower().startswith(verdict) else said
