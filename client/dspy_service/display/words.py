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


def so_far(summary: Summary) -> str:
    seconds = summary.running_seconds
    return "" if seconds is None or summary.finished else f"{duration(seconds)} so far"


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


def scores(trail: ScoreTrail, summary: Summary) -> list[str]:
    """The best score is on other rows than the two test scores, and is told as such."""
    found = best(summary, trail.best)
    on_test = [("baseline", trail.baseline), ("optimized", trail.optimized)]
    told = [f"{name} {score:.1f}" for name, score in on_test if score is not None]
    return [*told, f"best so far {found}"] if found and trail.optimized is None else told


def best(summary: Summary, told: float | None) -> str:
    """`told` is what an event has said, if the summary is of a service that does not say it."""
    score = told if summary.best_score is None else summary.best_score
    if score is None:
        return ""
    count = "" if summary.best_score_rows is None else f"{summary.best_score_rows:,} "
    return f"{score:.1f} on {count}{summary.best_score_on or 'validation'} rows"


def stage(summary: Summary) -> str:
    """While it runs, `message` is the name of the last event, which the figures beside it say better; what it waits
    for goes before either. An end has its verdict first."""
    if summary.notice:
        return summary.notice
    said = "" if summary.status == "running" else summary.message.partition("\n")[0].removesuffix(".")
    verdict = of(summary)
    told = "" if verdict and said.lower().startswith(verdict) else verdict
    return ": ".join(part for part in (told, said) if part)
