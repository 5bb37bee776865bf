"""Plain lines for logs and pipes: one for each new stage, and for each tenth of the way."""

from collections.abc import Iterable

from rich.console import Console

from dspy_service.answers import Summary
from dspy_service.display import words
from dspy_service.display.score_trail import ScoreTrail
from dspy_service.display.texts import text
from dspy_service.watching import Update

_STEP = 10.0
"""Percent between two lines of progress."""


def show_plain(updates: Iterable[Update], console: Console) -> Summary:
    trail, said, last = ScoreTrail(), "", None
    for update in updates:
        trail.add(update.events)
        line = _line(update.summary, trail)
        if _key(update.summary, trail) != said:
            console.print(text(line), soft_wrap=True)
            said = _key(update.summary, trail)
        last = update.summary
    assert last is not None, "a watch yields at least once"
    return last


def _key(summary: Summary, trail: ScoreTrail) -> str:
    """A line is printed where this differs from the line before."""
    tenth = int(words.percent(summary) // _STEP)
    return f"{summary.status} {words.stage(summary)} {tenth} {trail.baseline} {trail.optimized}"


def _line(summary: Summary, trail: ScoreTrail) -> str:
    shares = []
    if summary.status == "running":
        shares = [f"{words.percent(summary):.0f} %", words.calls(summary), words.so_far(summary)]
        shares.append(words.time_left(summary))
    parts = [words.stage(summary), *shares, *words.scores(trail, summary), words.usage(summary)]
    return f"{summary.status:<10} " + ", ".join(part for part in parts if part)
