"""`dspy-service list`."""

from collections.abc import Sequence
from itertools import islice

import click
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from dspy_service.answers import Summary
from dspy_service.cli.connection import connect
from dspy_service.cli.printed_json import print_json
from dspy_service.cli.said import say_row
from dspy_service.display.shown import shown
from dspy_service.display.texts import text
from dspy_service.display.verdicts import of
from dspy_service.display.words import cost, duration, moment, so_far
from dspy_service.foreign import figure
from dspy_service.typed_ids import short_ids

_COLUMNS = (
    "job",
    "name",
    "status",
    "optimizer",
    "rows",
    "verdict",
    "baseline",
    "optimized",
    "created",
    "took",
    "calls",
    "cost",
)
_TYPED = 2
"""So many of them are there to be typed."""
_IMPORTANT = ("verdict", "optimizer", "optimized", "baseline", "cost", "created", "took", "calls", "rows")
_WIDEST = 24
_BETWEEN = 2


@click.command("list", short_help="List jobs, newest first.")
@click.option("--status", help="pending, validating, running, success, failed or cancelled.")
@click.option("--optimizer", help="As the job named it.")
@click.option("--label", help="k=v.")
@click.option("--verdict", help="improved, no_evidence, worse or unknown.")
@click.option("--name", help="What jobs are called, or were.")
@click.option("-n", "--limit", default=50, show_default=True, help="At most so many.")
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_context
def command(
    ctx: click.Context,
    status: str | None,
    optimizer: str | None,
    label: str | None,
    verdict: str | None,
    name: str | None,
    limit: int,
    output: str,
) -> None:
    """List jobs, newest first, by what can be typed for them: on a terminal, the beginning of an id. In a pipe the
    whole id is first, and the name last."""
    wanted = connect(ctx).list(status=status, optimizer=optimizer, label=label, verdict=verdict, name=name)
    found = list(islice(wanted, limit))
    if output == "json":
        print_json(found)
    else:
        _print_table(found)


def _print_table(jobs: list[Summary]) -> None:
    console = Console()
    if not console.is_terminal:
        for job in jobs:
            say_row((job.job_id, *_cells(job), job.name or ""))
        return
    console.print(table_of(jobs, console.width), crop=False)


def table_of(jobs: Sequence[Summary], width: int) -> Table:
    """Ids and names are whole, however narrow the terminal is: they are there to be typed. Of the others, those that do
    not fit are left out."""
    shorts = short_ids([job.job_id for job in jobs])
    names = [job.name if job.name and job.name != job.job_id else "" for job in jobs]
    rows = [(short, name, *_cells(job)) for short, name, job in zip(shorts, names, jobs, strict=True)]
    widths = [max(cell_len(shown(cell)) for cell in column) for column in zip(_COLUMNS, *rows, strict=True)]
    widths = widths[:_TYPED] + [min(its, _WIDEST) for its in widths[_TYPED:]]
    places = _fitting(widths, width)
    table = Table(box=None, width=sum(widths[place] + _BETWEEN for place in places))
    for place in places:
        table.add_column(_COLUMNS[place], width=widths[place], overflow="fold")
    for row in rows:
        table.add_row(*(text(row[place]) for place in places))
    return table


def _fitting(widths: Sequence[int], width: int) -> list[int]:
    """Places of the columns: the first ones in any case, then as many as fit, by their importance."""
    kept, left = list(range(_TYPED + 1)), width - sum(its + _BETWEEN for its in widths[: _TYPED + 1])
    for place in map(_COLUMNS.index, _IMPORTANT):
        left -= widths[place] + _BETWEEN
        if left >= 0:
            kept.append(place)
    return sorted(kept)


def _cells(job: Summary) -> tuple[str, ...]:
    metrics = job.latest_metrics
    took = duration(job.elapsed_seconds) if job.elapsed_seconds is not None else so_far(job)
    scores = [_score(figure(metrics, f"{which}_test_metric")) for which in ("baseline", "optimized")]
    created = moment(job.created_at, "%Y-%m-%d %H:%M")
    return (
        job.status,
        job.optimizer_name,
        str(job.dataset_rows or ""),
        of(job),
        *scores,
        created,
        took,
        str(job.usage.calls or "") if job.usage else "",
        cost(job.usage) if job.usage else "",
    )


def _score(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
