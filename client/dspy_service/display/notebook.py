"""A job in a notebook: one output that is drawn anew while the job runs, and holds the verdict in the end.

Whatever comes from the job is escaped: its own code chooses messages and prompts, and a notebook would run markup.
"""

import html
import sys
from collections.abc import Callable, Iterable
from typing import Any

from dspy_service.answers import Result, Summary
from dspy_service.display import changes, verdicts, words
from dspy_service.display.score_trail import ScoreTrail
from dspy_service.display.shown import shown
from dspy_service.program_states import Change
from dspy_service.watching import Update

Draw = Callable[[str], None]
_COLOURS = {"improved": "#1a7f37", "worse": "#cf222e"}
_DIFF = {"+ ": "#dafbe1", "- ": "#ffebe9"}


def drawing() -> Draw | None:
    """Draws HTML in one output of the cell that runs; None outside of a notebook."""
    shell = sys.modules.get("IPython")
    running = shell.get_ipython() if shell else None
    if running is None or not hasattr(running, "kernel"):
        return None
    shown_at: list[Any] = []

    def draw(text: str) -> None:
        page = _Page(text)
        if shown_at:
            shown_at[0].update(page)
        else:
            shown_at.append(sys.modules["IPython"].display.display(page, display_id=True))

    return draw


class _Page:
    def __init__(self, text: str) -> None:
        self._text = text

    def _repr_html_(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "dspy-service job"


def show_notebook(updates: Iterable[Update], draw: Draw) -> Summary:
    trail, last = ScoreTrail(), None
    for update in updates:
        trail.add(update.events)
        last = update.summary
        draw(running(last, trail))
    assert last is not None, "a watch yields at least once"
    return last


def running(summary: Summary, trail: ScoreTrail) -> str:
    shares = [f"{words.percent(summary):.0f} %", words.calls(summary)]
    times = [words.so_far(summary), words.time_left(summary)]
    figures = [*shares, *times, *words.scores(trail, summary), words.usage(summary)]
    said = " · ".join(_escaped(figure) for figure in figures if figure)
    bar = f'<progress max="100" value="{words.percent(summary):.0f}" style="width: 20em"></progress>'
    head = f"<b>{_escaped(summary.status)}</b> {_escaped(words.stage(summary))}"
    return f"<div>{head}<br>{bar} {said}<br><small>{_escaped(summary.job_id)}</small></div>"


def ended(summary: Summary, result: Result | None, changed: Iterable[Change]) -> str:
    """The verdict first, then what the optimizer made of the prompts."""
    said = verdicts.line(result) or f"{summary.status}: {summary.message.partition(chr(10))[0]}"
    colour = _COLOURS.get(summary.verdict or "", "inherit" if summary.status == "success" else "#cf222e")
    diff = "".join(_line(line) for line in changes.lines(changed))
    prompts = f"<details open><summary>What changed in the prompts</summary>{diff}</details>" if diff else ""
    took = " · ".join(part for part in (summary.job_id, words.usage(summary)) if part)
    head = f'<b style="color: {colour}">{_escaped(said)}</b><br><small>{_escaped(took)}</small>'
    return f"<div>{head}{prompts}</div>"


def _line(line: str) -> str:
    colour = _DIFF.get(line[:2], "inherit")
    return f'<pre style="margin: 0; white-space: pre-wrap; background: {colour}">{html.escape(line)}</pre>'


def _escaped(text: str) -> str:
    return html.escape(shown(text))
