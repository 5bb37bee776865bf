"""The live display: a bar, the score so far with a small picture of it, the time left, the newest log lines."""

from collections import deque
from collections.abc import Iterable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table

from dspy_service.answers import LogEntry, Summary
from dspy_service.display import words
from dspy_service.display.score_trail import ScoreTrail, sparkline
from dspy_service.display.texts import parts, text
from dspy_service.watching import Update

LOG_LINES = 6
_BAR_WIDTH = 40
_PROGRESS_BAR = "%|"
"""In every line that tqdm prints: there is a bar of ours already."""
_TRAIL_WIDTH = 32
_STYLES = {"success": "bold green", "failed": "bold red", "cancelled": "yellow"}


def show_live(updates: Iterable[Update], console: Console) -> Summary:
    trail, lines = ScoreTrail(), deque[LogEntry](maxlen=LOG_LINES)
    spinner = Spinner("dots")
    last: Summary | None = None
    # Ten frames a second redraw the spinner alone; what it shows changes with the updates.
    with Live(console=console, refresh_per_second=10) as live:
        for update in updates:
            trail.add(update.events)
            lines.extend(entry for entry in update.logs if _PROGRESS_BAR not in entry.message)
            last = update.summary
            live.update(_picture(last, trail, () if last.finished else lines, spinner), refresh=True)
    assert last is not None, "a watch yields at least once"
    return last


def _picture(summary: Summary, trail: ScoreTrail, lines: Iterable[LogEntry], spinner: Spinner) -> RenderableType:
    return Group(_head(summary, spinner), _progress(summary), *_scores(trail, summary), *map(_log_line, lines))


def _head(summary: Summary, spinner: Spinner) -> RenderableType:
    head = Table.grid(padding=(0, 1))
    status = text(summary.status, style=_STYLES.get(summary.status, "bold cyan"))
    head.add_row(text(" ") if summary.finished else spinner, status, text(words.stage(summary)))
    what = f"  {summary.optimizer_name} on {summary.module_name}, job {summary.job_id}"
    return Group(head, text(what, style="dim", one_line=True))


def _progress(summary: Summary) -> RenderableType:
    row = Table.grid(padding=(0, 2))
    bar = ProgressBar(total=100, completed=words.percent(summary), width=_BAR_WIDTH)
    times = ", ".join(filter(None, (words.so_far(summary), words.time_left(summary))))
    figures = (f"{words.percent(summary):3.0f} %", words.calls(summary), times, words.usage(summary))
    row.add_row(bar, *map(text, figures))
    return row


def _scores(trail: ScoreTrail, summary: Summary) -> list[RenderableType]:
    said = words.scores(trail, summary)
    picture = sparkline(trail.points, _TRAIL_WIDTH)
    return [parts(("   ".join(said), "bold"), ("   ", ""), (picture, "green"))] if said else []


def _log_line(entry: LogEntry) -> RenderableType:
    first = entry.message.strip().splitlines()[0] if entry.message.strip() else ""
    style = "red" if entry.level == "ERROR" else "dim"
    return text(f"  {words.moment(entry.timestamp, '%H:%M:%S')} {first}", style=style, one_line=True)
