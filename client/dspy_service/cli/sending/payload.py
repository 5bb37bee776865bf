"""`dspy-service payload ID`."""

import click

from dspy_service.cli.connection import connect
from dspy_service.cli.printed_json import print_json
from dspy_service.cli.said import say


@click.command("payload", short_help="Print what was submitted of a job.")
@click.argument("job_id", metavar="ID")
@click.option("--output", type=click.Choice(["json"]), default="json", show_default=True, expose_value=False)
@click.pass_context
def command(ctx: click.Context, job_id: str) -> None:
    """Print the payload of job ID as JSON, for `submit` again. Models' keys are left out and secrets are empty: give
    them anew, by --set and --secret."""
    payload = connect(ctx).payload(job_id)
    print_json(payload)
    for name in payload.get("secrets") or {}:
        say(f"Empty: secrets.{name}", err=True)
