"""`dspy-service demo`: brings up the whole service, submits an optimization over HTTP, shows it, keeps the program.

Everything goes the way a user's own job goes: `dspy-service up` as a child, the Python client, the live display. The
command ends with the service stopped and the optimized program in a directory, with exit code 0 if the job succeeded.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click
from rich.console import Console

from dspy_service import Client, DspyServiceError, Job
from dspy_service.cli import exits
from dspy_service.cli.said import say_lines
from dspy_service.display import verdicts, watch_job
from dspy_service.display.shown import shown
from dspy_service.wire.calls import DEFAULT_URL
from dspy_service_local.demo.model.server import MODEL, ModelServer
from dspy_service_local.demo.models import KeyMissing, unused_key, user_model
from dspy_service_local.demo.service import ServiceDidNotStart, running_service
from dspy_service_local.demo.task import OPTIMIZER, Task, payload_of

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("demo", short_help="Bring up the service and see it optimize a program.")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("dspy-service-demo"),
    show_default=True,
    help="Where the service keeps its data and the demo the optimized program.",
)
@click.option("--port", default=0, show_default="a free one", help="The service's port.")
@click.option("--token", is_flag=True, help="Close the service's API by a token of its own, as `up --token` does.")
@click.option("--dataset", type=_FILE, help="Your own rows: CSV, JSON or JSON Lines.")
@click.option("--inputs", default="text", show_default=True, help="Its input columns: a,b")
@click.option("--outputs", default="team", show_default=True, help="Its output columns: c")
@click.option("--rows", type=click.IntRange(min=10), help="Take so many of its rows, drawn from all.")
@click.option("--signature", type=_FILE, help="Your own dspy.Signature, with fields named as the columns.")
@click.option("--metric", type=_FILE, help="Your own metric.")
@click.option("--optimizer", default=OPTIMIZER, show_default=True, help="miprov2, gepa, ... or a dotted path.")
@click.option("--model", help="Your own model (openai/gpt-4o-mini), its key in the environment.")
@click.option("--base-url", help="The model's endpoint, where it is not the provider's own.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    data_dir: Path,
    port: int,
    token: bool,
    inputs: str,
    outputs: str,
    model: str | None,
    base_url: str | None,
    **chosen: Any,
) -> None:
    """Bring up the whole service, optimize a program with it, and say whether it is better.

    Without --model it runs on a small model of our own that answers by the nearest of the examples in its prompt:
    no key, no network, nothing to pay.
    """
    if chosen["dataset"] is None and (inputs, outputs) != ("text", "team"):
        raise click.UsageError("--inputs and --outputs speak of the columns of --dataset.")
    task = Task(inputs=_columns(inputs), outputs=_columns(outputs), **chosen)
    leave_in_order()
    try:
        with _model(model, base_url, os.environ) as config:
            ctx.exit(run(task, config, data_dir.resolve(), port, Console(), token=token))
    except (KeyMissing, ServiceDidNotStart) as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        click.echo("Interrupted; the service is stopped.", err=True)
        ctx.exit(exits.INTERRUPTED)


def leave_in_order() -> None:
    """SIGTERM and a closed terminal end the demo as an exception does: the service is stopped on the way out."""

    def leave(number: int, _frame: FrameType | None) -> NoReturn:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGHUP, leave)


def _columns(names: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in names.split(",") if name.strip())


@contextlib.contextmanager
def _model(name: str | None, base_url: str | None, environment: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    if name:
        yield user_model(name, base_url, environment)
        return
    if variable := unused_key(environment):
        click.echo(f"{variable} is set but stays unused: name a model to use it, as in --model openai/gpt-4o-mini.")
    with ModelServer() as server:
        yield {"name": f"openai/{MODEL}", "base_url": server.url}


def run(
    task: Task, model: Mapping[str, Any], data_dir: Path, port: int, console: Console, *, token: bool = False
) -> int:
    """The exit code."""
    payload = payload_of(task, model)
    console.print(f"Starting the service, its data in {data_dir} ...", highlight=False)
    with running_service(data_dir, port, token=token) as url, Client(url) as client:
        console.print(
            f"Ready at {url}. Submitting {len(payload['dataset'])} rows for {task.optimizer}.", highlight=False
        )
        job_id = client.submit(payload).job_id
        summary = watch_job(client, job_id, console)
        if summary.status != "success":
            _tell_failure(client, job_id, console)
            return exits.JOB_FAILED
        program = client.download(job_id, data_dir / "programs" / job_id)
        _tell_success(client.job(job_id), program, console)
        _tell_page(url, job_id, data_dir, console)
    return exits.SUCCESS


def _tell_failure(client: Client, job_id: str, console: Console) -> None:
    with contextlib.suppress(DspyServiceError):
        for entry in list(client.logs(job_id))[-20:]:
            say_lines(f"{shown(entry.level)} {entry.message}")
    console.print("The optimization failed; its last log lines are above.", style="bold red")


def _tell_success(job: Job, program: Path, console: Console) -> None:
    result = job.result
    before = result.baseline_test_metric if result else None
    after = result.optimized_test_metric if result else None
    if verdict := verdicts.line(result):
        console.print(
            f"\n{verdict}", highlight=False, soft_wrap=True, style=verdicts.style(result.verdict if result else None)
        )
    console.print(f"baseline   {_score(before)}  on the test split", highlight=False)
    if after is not None:
        console.print(f"optimized  {_score(after)}", highlight=False)
    console.print(f"The {verdicts.program(result)}: {program}", highlight=False, soft_wrap=True)
    console.print(f"Look into it: dspy-service inspect {program}", highlight=False, soft_wrap=True)


def _tell_page(url: str, job_id: str, data_dir: Path, console: Console) -> None:
    """Somebody who sits before it may look at it now; the service ends when they have."""
    path = f"/page/jobs/{job_id}"
    if console.is_terminal and sys.stdin.isatty():
        console.print(f"\nThe whole story of this run: {url}{path}", highlight=False, soft_wrap=True)
        with contextlib.suppress(EOFError):
            console.input("Enter stops the service. ")
    again = f"dspy-service up --data-dir {data_dir}, then {DEFAULT_URL}{path}"
    console.print(f"Its page: {again}", highlight=False, soft_wrap=True)


def _score(value: float | None) -> str:
    return "   ?" if value is None else f"{value:4.1f}"
