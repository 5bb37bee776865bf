import io
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from dspy_service import Event, LogEntry, SplitFractions, Summary, Update, Usage
from dspy_service.display import show, words
from dspy_service.display.score_trail import Point, ScoreTrail, sparkline
from dspy_service.display.words import duration

NOW = datetime(2025, 11, 30, 7, 15, tzinfo=UTC)


def make_summary(status: str = "running", **changes: Any) -> Summary:
    given = {"job_id": "j1", "message": "m", "created_at": NOW, "module_name": "predict", "optimizer_name": "gepa"}
    split = {"split_fractions": SplitFractions(0.7, 0.15, 0.15), "seed": 7}
    return Summary(**{**given, **split, "status": status, **changes})


def make_update(
    status: str, n: int = 0, best: float | None = None, logs: tuple[str, ...] = (), **figures: Any
) -> Update:
    metrics = {"tqdm_n": n, "tqdm_total": 200, "tqdm_percent": n / 2, "best_score": best, **figures}
    entries = tuple(LogEntry(NOW, "INFO", "dspy", text) for text in logs)
    events = (Event(NOW, "optimizer_progress", metrics),) if n or figures else ()
    summary = make_summary(status, latest_metrics=metrics, estimated_seconds_remaining=75.0)
    return Update(summary, events, entries)


RUN = [
    make_update("pending"),
    make_update("running", baseline_test_metric=28.6),
    make_update("running", 50, 30.0, ("first line\nsecond",)),
    make_update("running", 52, 30.0),
    make_update("running", 100, 45.5, ("[red]not markup[/red]",)),
    make_update("success", 200, 45.5, baseline_test_metric=28.6, optimized_test_metric=51.2),
]


def test_plain_lines_tell_each_stage_once_and_only_then() -> None:
    out = io.StringIO()
    last = show(iter(RUN), Console(file=out))
    assert last.status == "success"
    lines = out.getvalue().splitlines()
    assert len(lines) == 5, lines
    told = (
        "running 25 %, 50 of 200 metric calls, about 1:15 min left, baseline 28.6, best so far 30.0 on validation rows"
    )
    assert " ".join(lines[2].split()) == told
    assert "optimized 51.2" in lines[-1]
    assert "\x1b" not in out.getvalue()


def test_the_live_display_shows_bar_scores_picture_and_log() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120, height=30)
    assert show(iter(RUN), console).status == "success"
    text = out.getvalue()
    for shown in (
        "baseline 28.6",
        "best so far 45.5 on validation rows",
        "optimized 51.2",
        "100 of 200 metric calls",
        "about 1:15 min left",
    ):
        assert shown in text
    assert "[red]not markup[/red]" in text
    assert "second" not in text
    assert "█" in text


@pytest.mark.parametrize(
    ("points", "picture"),
    [
        ([], ""),
        ([(10, 50)], ""),
        ([(0, 10), (100, 80)], "▁▁▁█"),
        ([(0, 10), (25, 20), (50, 40), (75, 60), (100, 80)], "▁▃▆█"),
        ([(0, 50), (100, 50)], "▁▁▁▁"),
        ([(100, 10), (100, 20)], ""),
    ],
)
def test_sparkline(points: list[tuple[int, float]], picture: str) -> None:
    assert sparkline([Point(*point) for point in points], 4) == picture


def test_the_trail_remembers_what_it_was_told() -> None:
    trail = ScoreTrail()
    for update in RUN:
        trail.add(update.events)
    assert (trail.baseline, trail.optimized, trail.best) == (28.6, 51.2, 45.5)
    assert [point.calls for point in trail.points] == [50, 52, 100, 200]


@pytest.mark.parametrize(("seconds", "told"), [(0.4, "0 s"), (59.4, "59 s"), (61, "1:01 min"), (3661, "1:01:01")])
def test_durations(seconds: float, told: str) -> None:
    assert duration(seconds) == told


USAGE = {"calls": 1412, "cached_calls": 3, "prompt_tokens": 190_000, "completion_tokens": 10_500, "cost_usd": 0.0531}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "1,412 model calls, 200,500 tokens, $0.053"),
        ({"cost_usd": None}, "1,412 model calls, 200,500 tokens"),
        ({"cost_usd": 1234.5}, "1,412 model calls, 200,500 tokens, $1,234.50"),
        ({"cost_usd": 0.0}, "1,412 model calls, 200,500 tokens, $0.00"),
        ({"prompt_tokens": None, "completion_tokens": None, "cost_usd": None}, "1,412 model calls"),
        ({"calls": 0}, ""),
    ],
)
def test_usage_in_words(changes: dict[str, Any], said: str) -> None:
    assert words.usage(make_summary("running", usage=Usage(**USAGE | changes))) == said


def test_an_older_service_tells_no_usage() -> None:
    assert words.usage(make_summary("running")) == ""
