"""`dspy-service cancel | stop | pause | resume ID...`."""

from collections.abc import Callable

import click

from dspy_service.answers import Summary
from dspy_service.cli.connection import connect
from dspy_service.cli.printed_json import print_line
from dspy_service.cli.said import say
from dspy_service.client import Client

Ask = Callable[[Client, str], Summary]


def _command(name: str, short: str, text: str, said: str, ask: Ask) -> click.Command:
    """All are known before the first is asked: nothing happens if one ID may mean several jobs."""

    @click.command(name, short_help=short, help=text)
    @click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
    @click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
    @click.pass_context
    def command(ctx: click.Context, job_ids: tuple[str, ...], output: str) -> None:
        client = connect(ctx)
        for typed, job_id in [(typed, client.resolve(typed)) for typed in job_ids]:
            summary = ask(client, job_id)
            if output == "json":
                print_line(summary)
            else:
                say(f"{said} {typed} ({summary.status})")

    return command


cancel = _command(
    "cancel",
    "End a job as cancelled.",
    "End each job as cancelled. Its record, log and usage stay; `delete` removes them.",
    "cancelling",
    Client.cancel,
)
stop = _command(
    "stop",
    "Stop a job and keep its best program.",
    "End each job's search with the best program so far, which is scored. Where there is none yet, the job ends as "
    "cancelled.",
    "stopping",
    Client.stop,
)
pause = _command(
    "pause",
    "Pause a job.",
    "End each job's attempt and give its slot back. What was answered and found is kept for `resume`.",
    "pausing",
    Client.pause,
)
resume = _command(
    "resume",
    "Let a paused job go on.",
    "Let each paused job wait for a slot and go on from where it was.",
    "resuming",
    Client.resume,
)
