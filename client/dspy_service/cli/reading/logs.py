"""`dspy-service logs ID [-f]`."""

from collections.abc import Iterable

import click

from dspy_service.answers import LogEntry
from dspy_service.cli.connection import PATIENT, connect
from dspy_service.cli.printed_json import print_line
from dspy_service.cli.said import say_lines
from dspy_service.display.shown import shown
from dspy_service.foreign import NO_TIME


@click.command("logs", short_help="Print a job's log.")
@click.argument("job_id", metavar="ID")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job ends.")
@click.option("--after", default=0, help="Begin after this entry's number.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def command(ctx: click.Context, job_id: str, follow: bool, after: int, output: str) -> None:
    """Print the whole log of job ID, from its first line.

    Control characters in it are shown by their escapes; the further lines of an entry begin with a bar.
    As JSON, each entry is one line.
    """
    client = connect(ctx, PATIENT)
    show = _print_json if output == "json" else _print
    if follow:
        for update in client.watch(job_id, from_log=after):
            show(update.logs)
    else:
        show(client.logs(job_id, after))


def _print(entries: Iterable[LogEntry]) -> None:
    for entry in entries:
        time = "?" if entry.timestamp == NO_TIME else f"{entry.timestamp:%Y-%m-%d %H:%M:%S}"
        say_lines(f"{time} {shown(entry.level):<7} {shown(entry.logger)}: {entry.message}")


def _print_json(entries: Iterable[LogEntry]) -> None:
    for entry in entries:
        print_line(entry)
