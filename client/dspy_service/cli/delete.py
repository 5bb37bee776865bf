"""`dspy-service delete ID...`."""

import click

from dspy_service.cli.connection import connect
from dspy_service.cli.said import say


@click.command("delete", short_help="Stop a job and remove it.")
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
@click.pass_context
def command(ctx: click.Context, job_ids: tuple[str, ...]) -> None:
    """Stop each job where it runs and remove it with its log and its program."""
    client = connect(ctx)
    for job_id in job_ids:
        kept = client.delete(job_id)
        say(f"stopped {job_id}: {kept.detail}" if kept else f"deleted {job_id}")
