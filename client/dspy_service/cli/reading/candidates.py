"""`dspy-service candidates ID`: the programs that a search tried."""

from collections.abc import Iterable

import click
from rich.console import Console
from rich.table import Table

from dspy_service.answers import Candidate, PredictorChange
from dspy_service.cli.connection import connect
from dspy_service.cli.printed_json import print_json
from dspy_service.cli.said import say_row
from dspy_service.display.texts import text

_COLUMNS = ("n", "parents", "call", "score", "rows", "kept", "changes")


@click.command("candidates", short_help="List the programs that a job's search tried.")
@click.argument("job_id", metavar="ID")
@click.option("--after", default=0, help="Begin after this candidate's number.")
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_context
def command(ctx: click.Context, job_id: str, after: int, output: str) -> None:
    """List the programs that job ID's search has tried by now, in order.

    Each has the numbers of those that it was made from, the metric calls when it came, its score on how many rows
    (scores on other rows do not compare), whether the search kept it, and what it changes. As JSON, prompts are whole.
    """
    found = connect(ctx).candidates(job_id, after)
    if output == "json":
        print_json(list(found))
    else:
        _print(found)


def _print(candidates: Iterable[Candidate]) -> None:
    console = Console()
    if not console.is_terminal:
        for candidate in candidates:
            say_row(_cells(candidate))
        return
    table = Table(*_COLUMNS, box=None)
    for candidate in candidates:
        table.add_row(*map(text, _cells(candidate)))
    console.print(table)


def _cells(candidate: Candidate) -> tuple[str, ...]:
    return (
        str(candidate.n),
        ", ".join(map(str, candidate.parents)),
        str(candidate.at_call),
        "" if candidate.score is None else f"{candidate.score:.1f}",
        str(candidate.rows or ""),
        "yes" if candidate.accepted else "no",
        "; ".join(f"{name}: {_change(change)}" for name, change in candidate.changes.items()) or "as given",
    )


def _change(change: PredictorChange) -> str:
    demos = "" if change.demos is None else f"{len(change.demos)} demos"
    said = "" if change.instructions is None else " ".join(change.instructions.split())
    return ", ".join(filter(None, (demos, said)))
