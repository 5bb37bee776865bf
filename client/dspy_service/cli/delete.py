"""`dspy-service delete ID...`."""

import click

from dspy_service.cli.connection import connect
from dspy_service.cli.printed_json import print_line
from dspy_service.cli.said import say


@click.command("delete", short_help="Stop a job and remove it.")
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def command(ctx: click.Context, job_ids: tuple[str, ...], output: str) -> None:
    """Stop each job where it runs and remove it with its log and its program.

    Nothing is removed if one ID may mean several jobs, or is a name that several have had. As JSON, each job is one
    line.
    """
    client = connect(ctx)
    for typed, job_id in [(typed, client.resolve(typed, alone=True)) for typed in job_ids]:
        kept = client.delete(job_id)
        if output == "json":
            print_line({"job_id": job_id, "deleted": kept is None, "finalizers": kept.finalizers if kept else ()})
        else:
            say(f"stopped {typed}: {kept.detail}" if kept else f"deleted {typed}")
