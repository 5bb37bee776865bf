"""`dspy-service submit [FILE]`: sends a payload from a file, from options, or from a file changed by options."""

from typing import Any

import click

from dspy_service.cli.connection import PATIENT, connect
from dspy_service.cli.printed_json import print_json, print_line
from dspy_service.cli.reading.watch import watch_to_the_end
from dspy_service.cli.said import say
from dspy_service.cli.sending.payload_options import payload_given, payload_options


@click.command("submit", short_help="Submit an optimization.")
@payload_options
@click.option("--idempotency-key", help="The same key and payload never make a second job.")
@click.option("--watch", is_flag=True, help="Show the job until it ends.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def command(ctx: click.Context, /, idempotency_key: str | None, watch: bool, output: str, **options: Any) -> None:
    """Submit the payload in FILE (JSON or YAML), or one built from the options, which also override FILE's fields.

    As JSON with --watch, each line holds what was `submitted`, or what `watch` prints.
    """
    payload = payload_given(**options)
    client = connect(ctx, PATIENT)
    accepted = client.submit(payload, idempotency_key=idempotency_key)
    if accepted.warning:
        say(f"Warning: {accepted.warning}", err=True)
    if output == "text":
        say(accepted.job_id)
    elif watch:
        print_line({"submitted": accepted})
    else:
        print_json(accepted)
    if watch:
        watch_to_the_end(ctx, client, accepted.job_id, as_json=output == "json")
