"""The command `dspy-service`.

Commands are imported when they are called: `dspy-service list` needs none of what `up` brings along. Those of other
parts come by the entry-point group `dspy_service.commands`.
"""

import click

from dspy_service.cli.commands import CommandGroup
from dspy_service.cli.connection import Connection

EPILOG = (
    "Exit codes: 0 done or job succeeded, 1 job failed or cancelled, 2 wrong usage or refused payload, 3 service "
    "out of reach, 4 no such job or artifact, 5 damaged artifact, 130 interrupted."
)


@click.group(cls=CommandGroup, epilog=EPILOG)
@click.option(
    "--url", envvar="DSPY_SERVICE_URL", show_envvar=True, help="The service.  [default: http://127.0.0.1:8000]"
)
@click.option("--token", envvar="DSPY_SERVICE_TOKEN", show_envvar=True, help="Its token, where it asks for one.")
@click.version_option(package_name="dspy-service")
@click.pass_context
def cli(ctx: click.Context, url: str | None, token: str | None) -> None:
    """DSPy optimization as a service: submit a program, a metric and a dataset, get it back optimized,
    with a verdict on whether it is better.

    Where a command takes an ID, that is a job's id, the beginning of one (4 characters or more, of one job alone), or
    what the job is called (submit --name).
    """
    ctx.obj = (ctx.obj or Connection()).to(url, token)


def main() -> None:
    cli()
