"""`dspy-service list`."""

from collections.abc import Iterable
from itertools import islice

import click
from rich.console import Console
from rich.table import Table

from dspy_service.answers import Summary
from dspy_service.cli.connection import connect
from dspy_service.cli.printed_json import print_json
from dspy_service.cli.said import say_row
from dspy_service.display.texts import text
from dspy_service.display.verdicts import of
from dspy_service.display.words import cost, duration, moment
from dspy_service.foreign import figure

_COLUMNS = (
    "job",
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


@click.command("list", short_help="List jobs, newest first.")
@click.option("--status", help="pending, validating, running, success, failed or cancelled.")
@click.option("--optimizer", help="As the job named it.")
@click.option("--label", help="k=v.")
@click.option("--verdict", help="improved, no_evidence, worse or unknown.")
@click.option("-n", "--limit", default=50, show_default=True, help="At most so many.")
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_context
def command(
    ctx: click.Context,
    status: str | None,
    optimizer: str | None,
    label: str | None,
    verdict: str | None,
    limit: int,
    output: str,
) -> None:
    """List jobs, newest first."""
    wanted = connect(ctx).list(status=status, optimizer=optimizer, label=label, verdict=verdict)
    found = list(islice(wanted, limit))
    if output == "json":
        print_json(found)
    else:
        _print_table(found)


def _print_table(jobs: list[Summary]) -> None:
    console = Console()
    if not console.is_terminal:
        for job in jobs:
            say_row(_cells(job))
        return
    console.print(table_of(jobs))


def table_of(jobs: Iterable[Summary]) -> Table:
    table = Table(*_COLUMNS, box=None)
    for job in jobs:
        table.add_row(*map(text, _cells(job)))
    return table


def _cells(job: Summary) -> tuple[str, ...]:
    metrics = job.latest_metrics
    took = "" if job.elapsed_seconds is None else duration(job.elapsed_seconds)
    scores = [_score(figure(metrics, f"{which}_test_metric")) for which in ("baseline", "optimized")]
    created = moment(job.created_at, "%Y-%m-%d %H:%M")
    return (
        job.job_id,
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
