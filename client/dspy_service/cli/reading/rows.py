"""`dspy-service rows ID`."""

import json
from collections.abc import Iterable
from typing import Any

import click

from dspy_service.answers import ProgramAnswer, Row
from dspy_service.cli.connection import connect
from dspy_service.cli.printed_json import print_json
from dspy_service.cli.said import say, say_row

WHICH = ("all", "won", "lost", "tied", "changed", "failed")


@click.command("rows", short_help="Show what both programs made of each test row.")
@click.argument("job_id", metavar="ID")
@click.option("--which", type=click.Choice(WHICH), default="all", show_default=True, help="Which rows.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def command(ctx: click.Context, job_id: str, which: str, output: str) -> None:
    """Print job ID's test rows, with what the program that was given and the optimized one made of each.

    A row is named by its place in the dataset, from 0. It is won where the optimized program scores higher.
    """
    rows = connect(ctx).rows(job_id, which)
    if output == "json":
        print_json(list(rows))
    else:
        _print(rows)


def _print(rows: Iterable[Row]) -> None:
    for row in rows:
        say(f"row {row.n}: {row.outcome}" if row.outcome else f"row {row.n}", bold=True)
        say_row(("", "inputs", _written(row.inputs)))
        say_row(("", "gold", _written(row.gold)))
        say_row(("", "baseline", *_answer(row.baseline)))
        if row.optimized is not None:
            say_row(("", "optimized", *_answer(row.optimized)))


def _answer(answer: ProgramAnswer) -> tuple[str, ...]:
    score = "failed" if answer.score is None else f"{answer.score:g}"
    prediction = "" if answer.prediction is None else _written(answer.prediction)
    return tuple(part for part in (score, prediction, answer.error or "") if part)


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
