"""`dspy-service logs ID [-f]`."""

from collections.abc import Iterable

import click

from dspy_service.answers import LogEntry
from dspy_service.cli.connection import PATIENT, connect


@click.command("logs", short_help="Print a job's log.")
@click.argument("job_id", metavar="ID")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job ends.")
@click.option("--after", default=0, help="Begin after this entry's number.")
@click.pass_context
def command(ctx: click.Context, job_id: str, follow: bool, after: int) -> None:
    """Print the whole log of job ID, from its first line."""
    client = connect(ctx, PATIENT)
    if follow:
        for update in client.watch(job_id, from_log=after):
            _print(update.logs)
    else:
        _print(client.logs(job_id, after))


def _print(entries: Iterable[LogEntry]) -> None:
    for entry in entries:
        click.echo(f"{entry.timestamp:%Y-%m-%d %H:%M:%S} {entry.level:<7} {entry.logger}: {entry.message}")
