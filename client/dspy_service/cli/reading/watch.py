"""`dspy-service watch ID`."""

from collections.abc import Iterable, Iterator

import click
from rich.console import Console

from dspy_service.answers import Result, Summary
from dspy_service.cli import exits
from dspy_service.cli.connection import PATIENT, connect
from dspy_service.cli.printed_json import print_line
from dspy_service.cli.said import say, say_lines
from dspy_service.client import Client
from dspy_service.display import watch_job
from dspy_service.display.shown import shown
from dspy_service.display.verdicts import line, program
from dspy_service.display.words import duration
from dspy_service.errors import DspyServiceError
from dspy_service.foreign import figure
from dspy_service.watching import Update


@click.command("watch", short_help="Show a job until it ends.")
@click.argument("job_id", metavar="ID")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def command(ctx: click.Context, job_id: str, output: str) -> None:
    """Show job ID until it ends: live on a terminal, as plain lines elsewhere. Exits with 1 when the job failed.

    As JSON, each line holds an `event`, a `log` entry, a `candidate`, or the job's summary as `status`; the last is its
    end.
    """
    watch_to_the_end(ctx, connect(ctx, PATIENT), job_id, as_json=output == "json")


def watch_to_the_end(ctx: click.Context, client: Client, job_id: str, *, as_json: bool = False) -> None:
    try:
        summary = _print_updates(client.watch(job_id)) if as_json else watch_job(client, job_id, Console())
    except KeyboardInterrupt:
        say(f"The job goes on. To see it again: dspy-service watch {job_id}", err=True)
        ctx.exit(exits.INTERRUPTED)
    for lines in () if as_json else ending(summary, _result(client, summary)):
        say_lines(lines)
    ctx.exit(exits.SUCCESS if summary.status == "success" else exits.JOB_FAILED)


def _print_updates(updates: Iterable[Update]) -> Summary:
    last: Summary | None = None
    for update in updates:
        for event in update.events:
            print_line({"event": event})
        for entry in update.logs:
            print_line({"log": entry})
        for candidate in update.candidates:
            print_line({"candidate": candidate})
        last = update.summary
        print_line({"status": last})
    assert last is not None, "a watch yields at least once"
    return last


def _result(client: Client, summary: Summary) -> Result | None:
    """None where there is none to be had: the job's end is told all the same."""
    try:
        return client.job(summary.job_id).result if summary.verdict else None
    except DspyServiceError:
        return None


def ending(summary: Summary, result: Result | None) -> Iterator[str]:
    """The verdict, how the job ended, and what to do next."""
    if result and result.nothing_tried:
        yield f"nothing tried: {shown(result.nothing_tried)}"
    if verdict := line(result):
        yield verdict
    took = f" after {duration(summary.elapsed_seconds)}" if summary.elapsed_seconds is not None else ""
    if summary.status != "success":
        yield f"{shown(summary.status)}{took}: {summary.message}"
        yield f"Its log: dspy-service logs {summary.job_id}"
        return
    before, after = (figure(summary.latest_metrics, f"{which}_test_metric") for which in ("baseline", "optimized"))
    scores = f": test score {before:.1f} -> {after:.1f}" if before is not None and after is not None else ""
    yield f"success{took}{scores}"
    yield f"The {program(result)}: dspy-service artifact {summary.job_id} -o DIR"
