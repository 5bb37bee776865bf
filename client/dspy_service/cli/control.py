"""`dspy-service cancel | stop | pause | resume ID...`."""

from collections.abc import Callable

import click

from dspy_service.answers import Summary
from dspy_service.cli.connection import connect
from dspy_service.cli.said import say
from dspy_service.client import Client

Ask = Callable[[Client, str], Summary]


def _command(name: str, short: str, text: str, said: str, ask: Ask) -> click.Command:
    @click.command(name, short_help=short, help=text)
    @click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
    @click.pass_context
    def command(ctx: click.Context, job_ids: tuple[str, ...]) -> None:
        client = connect(ctx)
        for job_id in job_ids:
            say(f"{said} {job_id} ({ask(client, job_id).status})")

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
