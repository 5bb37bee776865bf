"""`dspy-service show ID`: a job as a whole, for people: the verdict first, then how it came about."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import click

from dspy_service.answers import Job, Result, Summary
from dspy_service.cli.connection import connect
from dspy_service.cli.printed_json import print_json
from dspy_service.cli.said import say, say_lines
from dspy_service.client import Client
from dspy_service.display import changes as shown_changes, verdicts, words
from dspy_service.errors import DamagedArtifact, NoArtifact, UnexpectedAnswer
from dspy_service.foreign import figure, object_of
from dspy_service.program_states import Change, changes

_WIDTH = 10
_LISTED = 5
"""Failed rows of a score that are told one by one; `rows --which failed` has all."""


@click.command("show", short_help="Show all that is known of a job.")
@click.argument("job_id", metavar="ID")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def command(ctx: click.Context, job_id: str, output: str) -> None:
    """Print job ID as a whole: verdict, scores, progress, what there is to know of the run, and what the optimizer
    changed in the prompts."""
    client = connect(ctx)
    job_id = client.resolve(job_id)
    summary, job = client.summary(job_id), client.job(job_id)
    changed = _changes(client, job)
    if output == "json":
        print_json(asdict(summary) | {"result": _result(job.result), "changes": changed})
        return
    for line in _head(summary, job):
        say_lines(line)
    if changed:
        say("")
        say("What changed in the prompts", bold=True)
        for line in shown_changes.lines(changed):
            say(line)


def _changes(client: Client, job: Job) -> tuple[Change, ...]:
    """None of a job without a program: its end is told all the same."""
    if not job.finished:
        return ()
    try:
        artifact = client.artifact(job.job_id)
    except (NoArtifact, DamagedArtifact, UnexpectedAnswer):
        return ()
    return changes(artifact.baseline_state, artifact.program_state)


def _result(result: Result | None) -> dict[str, Any] | None:
    """Without the program and the log, for which there are commands."""
    told = asdict(result) if result else {}
    return {name: value for name, value in told.items() if name not in ("program_artifact", "run_log")} or None


def _head(summary: Summary, job: Job) -> Iterator[str]:
    said = [
        ("job", summary.job_id),
        ("name", summary.name if summary.name != summary.job_id else None),
        ("verdict", verdicts.line(job.result)),
        ("status", f"{summary.status}: {summary.message}" if summary.message else summary.status),
        ("waits for", summary.notice),
        ("scores", _scores(summary)),
        ("progress", _progress(summary)),
        ("program", summary.module_name),
        ("optimizer", " ".join(filter(None, (summary.optimizer_name, _kwargs(summary))))),
        ("rows", _rows(summary, job.result)),
        ("time", _time(summary)),
        ("note", summary.note),
        *(("", note) for note in _notes(job.result)),
    ]
    for name, value in said:
        if value:
            yield f"{name:<{_WIDTH}} {value}"


def _scores(summary: Summary) -> str:
    """The best so far is on other rows than the two test scores, and is told as such."""
    named = (("baseline", "baseline_test_metric"), ("optimized", "optimized_test_metric"))
    found = [(name, figure(summary.latest_metrics, key)) for name, key in named]
    test = ", ".join(f"{name} {score:.1f}" for name, score in found if score is not None)
    best = words.best(summary, figure(summary.latest_metrics, "best_score"))
    at = "" if summary.best_score_at_call is None else f", at metric call {summary.best_score_at_call:,}"
    parts = [f"{test} on the test rows" if test else "", f"best {best}{at}" if best else ""]
    return "; ".join(filter(None, parts))


def _progress(summary: Summary) -> str:
    if summary.status not in ("running", "validating", "pending"):
        return ", ".join(filter(None, (words.calls(summary), _tried(summary))))
    parts = (f"{words.percent(summary):.0f} %", words.calls(summary), _tried(summary), words.time_left(summary))
    return ", ".join(filter(None, parts))


def _tried(summary: Summary) -> str:
    return f"{summary.candidates_count:,} candidates" if summary.candidates_count else ""


def _kwargs(summary: Summary) -> str:
    given = {**summary.optimizer_kwargs, **summary.compile_kwargs}
    return json.dumps(given, ensure_ascii=False, default=str) if given else ""


def _rows(summary: Summary, result: Result | None) -> str:
    if summary.dataset_rows is None:
        return ""
    split = result.split_counts if result else None
    counted = f" (train {split.train}, validation {split.val}, test {split.test})" if split else ""
    return f"{summary.dataset_rows}{counted}, seed {summary.seed}"


def _time(summary: Summary) -> str:
    took = "" if summary.elapsed_seconds is None else f"took {words.duration(summary.elapsed_seconds)}"
    submitted = f"submitted {words.moment(summary.created_at, '%Y-%m-%d %H:%M:%S')}"
    return ", ".join(filter(None, (submitted, took or words.so_far(summary))))


def _notes(result: Result | None) -> Iterator[str]:
    """What a reader of the scores should know."""
    details = result.details if result else {}
    if result and result.nothing_tried:
        yield f"nothing tried: {result.nothing_tried}"
    if details.get("stopped_early"):
        by = f" by the budget's {result.budget_hit}" if result and result.budget_hit else ""
        yield f"stopped early{by}, with the best program so far"
    for which, failed in _objects(details.get("failed_rows")):
        yield f"{failed.get('count')} rows failed in the {which} score, each counts 0"
        for row in _listed(failed.get("rows")):
            yield f"  row {row.get('row')}: {row.get('error')}"
    for name, count in (object_of(details.get("dropped_demos")) or {}).items():
        yield f"{count} demonstrations of {name} were dropped: JSON cannot hold them"


def _objects(value: Any) -> list[tuple[str, Mapping[str, Any]]]:
    found = value.items() if isinstance(value, Mapping) else ()
    return [(str(name), item) for name, item in found if isinstance(item, Mapping) and item.get("count")]


def _listed(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)][:_LISTED] if isinstance(value, list) else []
