"""Whatever a job's own code gets into an answer: no command ends for it, and no terminal obeys it.

Every field of every answer gets every hostile value, one at a time, and the commands that show it are run.
"""

import ast
import io
import json
import types
import typing
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, strategies as st
from rich.console import Console

import dspy_service
from dspy_service import Event, LogEntry, Summary, answers, reading
from dspy_service.cli import cli
from dspy_service.cli.connection import Connection
from dspy_service.cli.reading.list_jobs import table_of
from dspy_service.display import show
from dspy_service.display.shown import GUTTER, shown, shown_lines
from dspy_service.display.verdicts import line
from dspy_service.watching import Update
from fake_service import CATALOGUE

TIME = "2026-03-01T09:30:00Z"
STEERING = "\x1b]52;c;AAAA\x07\x1b[2J\x9b31m\r\x7f\u202e\u200b\u2028\ud800\U000e0041"
FORGED = "a\n2026-03-01 09:30:00 ERROR   forged: line"
DEEP: Any = json.loads('{"a":' * 900 + "1" + "}" * 900)
HOSTILE: list[Any] = [
    *(None, True, 0, -1, 10**30, 10**400, 1e308, -1e308, float("nan"), float("inf"), 0.1),
    *("", "DROP", "nan", "9" * 5000, STEERING, FORGED, "[red]x[/red]:smile:[/]"),
    *("9999-99-99", "9999-99-99T99:99:99Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59+00:00", "2026-03-01"),
    *([], [1], [[]], {}, {"a": STEERING}, {STEERING: 1}, DEEP),
]
METRICS = ("baseline_test_metric", "optimized_test_metric", "best_score", "tqdm_n", "tqdm_total", "tqdm_percent")
CALLS = {"least": 1, "most": 2}
ESTIMATED = {"least": 1, "most": 2, "rule": "for the test"}
ESTIMATE: dict[str, Any] = {
    **dict.fromkeys(("metric_calls", "model_calls", "tokens", "cost_usd"), ESTIMATED),
    "by_stage": {"final": {"metric_calls": CALLS, "model_calls": CALLS}},
}

GOOD: Mapping[type, dict[str, Any]] = {
    answers.Catalogue: CATALOGUE,
    answers.CatalogueModule: CATALOGUE["modules"][0],
    answers.CatalogueOptimizer: CATALOGUE["optimizers"][0],
    answers.Argument: CATALOGUE["optimizers"][0]["arguments"][0],
    answers.Accepted: {"job_id": "job1", "status": "pending"},
    answers.Usage: {"calls": 3, "cost_usd": 0.5},
    answers.CallRange: CALLS,
    answers.Estimated: ESTIMATED,
    answers.EstimatedStage: {"metric_calls": CALLS, "model_calls": CALLS},
    answers.Estimate: ESTIMATE,
    answers.DryRun: {"split_counts": {"train": 5, "val": 2, "test": 3}, "estimate": ESTIMATE, "warnings": ["w"]},
    answers.SplitFractions: {"train": 0.5, "val": 0.2, "test": 0.3},
    answers.SplitCounts: {"train": 5, "val": 2, "test": 3},
    answers.Event: {"n": 1, "timestamp": TIME, "event": "optimizer_progress", "metrics": {"best_score": 40.0}},
    answers.LogEntry: {"n": 1, "timestamp": TIME, "level": "INFO", "logger": "dspy", "message": "said"},
    answers.Summary: {
        "job_id": "job1",
        "status": "failed",
        "message": "m",
        "created_at": TIME,
        "module_name": "predict",
        "optimizer_name": "gepa",
        "split_fractions": {"train": 0.5, "val": 0.2, "test": 0.3},
        "seed": 7,
        "latest_metrics": {"baseline_test_metric": 1.0},
    },
    answers.JobPage: {"jobs": [], "next_cursor": None},
    answers.RecordKept: {"detail": "The job is stopped.", "finalizers": ["example.org/hold"]},
    answers.Artifact: {"path": "p", "program_pickle_base64": "gASVEAAAAAAAAAB9lC4=", "metadata": {}},
    answers.Comparison: {
        "difference": 25.0,
        "interval": [3.5, 46.5],
        "confidence": 0.95,
        "method": "student_t_two_pseudo_rows",
        "rows": 3,
        "won": 2,
        "lost": 0,
        "tied": 1,
        "failed_rows": 0,
    },
    answers.Result: {
        "module_name": "predict",
        "optimizer_name": "gepa",
        "split_counts": {"train": 5, "val": 2, "test": 3},
        "run_log": [],
    },
    answers.Job: {"job_id": "job1", "status": "success", "message": "m", "created_at": TIME},
    answers.ProgramAnswer: {"prediction": {"team": "billing"}, "score": 1.0, "error": None},
    answers.PredictorChange: {"instructions": "Look.", "demos": [{"text": "t"}]},
    answers.Candidate: {
        "n": 1,
        "parents": [],
        "at_call": 6,
        "score": 50.0,
        "rows": 6,
        "accepted": True,
        "changes": {"predict": {"instructions": "Look.", "demos": [{"text": "t"}]}},
    },
    answers.Row: {
        "n": 3,
        "outcome": "won",
        "inputs": {"text": "t"},
        "gold": {"team": "billing"},
        "baseline": {"prediction": None, "score": None, "error": "no answer"},
        "optimized": {"prediction": {"team": "billing"}, "score": 1.0, "error": None},
    },
    answers.Assets: {"modules": ["cot"], "optimizers": ["gepa"]},
    answers.Health: {"status": "ok", "registered_assets": {"modules": [], "optimizers": []}},
}
KINDS = [
    kind for name, kind in vars(answers).items() if is_dataclass(kind) and isinstance(kind, type) and name[0] != "_"
]
FIELDS = [(kind, field.name) for kind in KINDS for field in fields(kind)]


def test_every_answer_is_tried() -> None:
    assert set(KINDS) == set(GOOD)


def is_of(hint: Any, value: Any) -> bool:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if origin is types.UnionType:
        return any(value is None if argument is type(None) else is_of(argument, value) for argument in arguments)
    if origin is tuple:
        return isinstance(value, tuple) and all(is_of(arguments[0], item) for item in value)
    if is_dataclass(hint):
        return isinstance(value, typing.cast(type, hint)) and well_typed(value)
    kind = (int, float) if hint is float else origin or hint
    return isinstance(value, kind) and (hint is bool or not isinstance(value, bool))


def well_typed(value: Any) -> bool:
    hints = typing.get_type_hints(type(value))
    return all(is_of(hints[field.name], getattr(value, field.name)) for field in fields(value))


@pytest.mark.parametrize(("kind", "name"), FIELDS)
def test_a_field_holds_what_its_type_says_whatever_came(kind: type, name: str) -> None:
    for hostile in HOSTILE:
        read = reading.read(kind, {**GOOD[kind], name: hostile})
        assert well_typed(read), (hostile, read)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_one_of_many_is_always_read(data: Any) -> None:
    for kind in (Summary, LogEntry, Event):
        assert well_typed(reading.entry(kind, data))


def transport(summary: Any, log: Any, event: Any, *, accepted: Any = None, artifact: Any = None) -> httpx.MockTransport:
    """One job with these answers between two good neighbours."""
    neighbours = [{**GOOD[Summary], "job_id": name} for name in ("before", "after")]

    def answer(request: httpx.Request) -> Any:
        match request.url.path.strip("/").split("/"):
            case ["run"]:
                return accepted or GOOD[answers.Accepted]
            case ["jobs"]:
                return {"jobs": [neighbours[0], summary, neighbours[1]], "next_cursor": None}
            case ["jobs", _, "summary"]:
                return {**summary, "status": "failed", "job_id": "job1"} if isinstance(summary, dict) else summary
            case ["jobs", _, "logs" | "events" as kind]:
                good = GOOD[LogEntry if kind == "logs" else Event]
                return [good, log if kind == "logs" else event, good] if request.url.params["after"] == "0" else []
        return artifact or {"program_artifact_path": "p", "program_artifact": GOOD[answers.Artifact]}

    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text=json.dumps(answer(request), ensure_ascii=True))

    return httpx.MockTransport(respond)


def run(served: httpx.MockTransport, *arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, obj=Connection("http://service", transport=served, sleep=lambda _: None))


def check(result: Result) -> None:
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    obeyed = {c for c in result.output if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")} - {"\n", "\t"}
    assert not obeyed, result.output
    assert not any(line.startswith("2026-03-01 09:30:00 ERROR   forged") for line in result.output.splitlines())


def hostile_answers(kind: type) -> Iterator[Any]:
    yield from HOSTILE
    for field in fields(kind):
        yield from ({**GOOD[kind], field.name: value} for value in HOSTILE)
        yield {name: value for name, value in GOOD[kind].items() if name != field.name}
    for name in METRICS:
        which = "metrics" if kind is Event else "latest_metrics"
        yield from ({**GOOD[kind], which: {name: value}} for value in HOSTILE)


def test_a_hostile_summary_is_one_line_of_the_list_and_the_others_are_there() -> None:
    for summary in hostile_answers(Summary):
        served = transport(summary, GOOD[LogEntry], GOOD[Event])
        listed = run(served, "list")
        check(listed)
        lines = [line.split("\t") for line in listed.stdout.splitlines()]
        assert (len(lines), lines[0][0], lines[2][0]) == (3, "before", "after"), listed.stdout
        assert {len(cells) for cells in lines} == {12}
        told = run(served, "list", "--output", "json")
        check(told)
        assert [job["job_id"] for job in json.loads(told.stdout, parse_constant=pytest.fail)][::2] == [
            "before",
            "after",
        ]


def test_a_hostile_summary_ends_no_watch() -> None:
    for summary in hostile_answers(Summary):
        watched = run(transport(summary, GOOD[LogEntry], GOOD[Event]), "watch", "job1")
        check(watched)
        assert watched.exit_code == (1 if isinstance(summary, dict) and is_whole(summary) else 3)


def is_whole(summary: dict[str, Any]) -> bool:
    required = {"message", "created_at", "module_name", "optimizer_name", "split_fractions", "seed"}
    return summary.keys() >= required


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("name", ["verdict", "comparison", *GOOD[answers.Comparison]])
def test_a_hostile_verdict_is_a_line_and_no_more(name: str, hostile: Any) -> None:
    comparison = GOOD[answers.Comparison] | {name: hostile}
    details = {"verdict": "improved", "comparison": comparison}
    details |= {name: hostile} if name in details else {}
    found = reading.read(answers.Result, {**GOOD[answers.Result], "details": details})
    assert found.comparison is None or well_typed(found.comparison)
    assert "\n" not in shown(line(found))


def test_a_hostile_event_ends_no_watch() -> None:
    for event in hostile_answers(Event):
        watched = run(transport(GOOD[Summary], GOOD[LogEntry], event), "watch", "job1")
        check(watched)
        assert watched.exit_code == 1
        assert "best so far" in watched.stdout or "optimized" in watched.stdout


@pytest.mark.parametrize("follow", [(), ("-f",)])
def test_a_hostile_log_entry_is_one_entry_and_the_others_are_there(follow: tuple[str, ...]) -> None:
    for entry in hostile_answers(LogEntry):
        told = run(transport(GOOD[Summary], entry, GOOD[Event]), "logs", "job1", *follow)
        check(told)
        assert told.exit_code == 0
        entries = [line for line in told.stdout.splitlines() if not line.startswith(GUTTER)]
        assert len(entries) == 3
        assert entries[0] == entries[2] == "2026-03-01 09:30:00 INFO    dspy: said"


def test_hostile_answers_to_a_submit_and_an_artifact_are_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "payload.json").write_text("{}")
    for value in HOSTILE:
        for answer in (value, {**GOOD[answers.Accepted], "job_id": value}):
            served = transport(GOOD[Summary], GOOD[LogEntry], GOOD[Event], accepted=answer or {})
            for output in ("text", "json"):
                check(run(served, "submit", str(tmp_path / "payload.json"), "--output", output))
        for field in ("path", "program_pickle_base64", "metadata", "optimized_prompt", "program_state"):
            bundle = {**GOOD[answers.Artifact], field: value}
            artifact = {"program_artifact_path": value, "program_artifact": bundle}
            served = transport(GOOD[Summary], GOOD[LogEntry], GOOD[Event], artifact=artifact)
            check(run(served, "artifact", "job1", "-o", str(tmp_path / "program")))
        served = transport(GOOD[Summary], GOOD[LogEntry], GOOD[Event], artifact=value or {"program_artifact": value})
        check(run(served, "artifact", "job1", "-o", str(tmp_path / "program")))


@pytest.mark.parametrize("status", [400, 401, 404, 409, 413, 422, 500, 503])
def test_errors_are_shown_too(status: int) -> None:
    for detail in (*HOSTILE, [{"field": STEERING, "message": FORGED, "type": 5}], [1, None, STEERING]):
        body = json.dumps({"detail": detail})
        served = httpx.MockTransport(lambda _request, body=body: httpx.Response(status, text=body))
        for command in (("list",), ("watch", "x"), ("logs", "x"), ("delete", "x"), ("artifact", "x")):
            result = run(served, *command)
            check(result)
            assert result.exit_code in (2, 3, 4)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[" * 100_000, b"\xff", b"1" * 5000, b"null", b'"x"', b"[[]]"])
def test_a_body_that_is_no_answer_is_told_in_a_sentence(body: bytes) -> None:
    served = httpx.MockTransport(lambda _: httpx.Response(200, content=body))
    for command in (("list",), ("watch", "x"), ("artifact", "x")):
        result = run(served, *command)
        check(result)
        assert result.exit_code == 3


def drawn(summary: Summary, event: Event, entry: LogEntry) -> str:
    out = io.StringIO()
    show(iter([Update(summary, (event,), (entry,))]), Console(file=out, force_terminal=True, width=200, height=50))
    return out.getvalue()


def test_the_live_display_sends_nothing_of_a_jobs_own_to_the_terminal() -> None:
    running = {**GOOD[Summary], "status": "running"}
    for value in HOSTILE:
        for name in GOOD[Summary]:
            summary = reading.entry(Summary, {**running, name: value})
            drawn(summary, reading.entry(Event, value), reading.entry(LogEntry, value))
    texts = dict.fromkeys(("message", "module_name", "optimizer_name", "job_id"), f"{STEERING}[red]x[/red]:smile:")
    hostile = reading.entry(LogEntry, {**GOOD[LogEntry], "message": f"{STEERING}[red]x"})
    for status in ("running", "pending"):
        text = drawn(reading.entry(Summary, {**running, **texts, "status": status}), reading.entry(Event, {}), hostile)
        assert not [
            part for part in ("\x1b]", "\x9b", "\x07", "\x1b[2J\x9b", "\u202e", "\u2028", "\ud800") if part in text
        ]
        assert "[red]x[/red]:smile:" in text
        assert r"\x1b]52;c;AAAA\x07" in text


def test_the_table_of_a_terminal_takes_no_markup() -> None:
    job = reading.entry(Summary, {**GOOD[Summary], "optimizer_name": f"[red]x[/red]:smile:{STEERING}"})
    out = io.StringIO()
    Console(file=out, width=300).print(table_of([job], 300))
    assert "[red]x[/red]:smile:" in out.getvalue()
    assert "\x1b" not in out.getvalue()


@given(st.text())
def test_what_is_shown_is_one_line_that_steers_nothing(text: str) -> None:
    assert not [c for c in shown(text) if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    first, *further = shown_lines(text).split("\n")
    assert all(line.startswith(GUTTER) for line in further)
    assert shown("".join([first, *further])) == "".join([first, *further])


@pytest.mark.parametrize("text", ["", "plain", "Grüße, 你好", "a\u3000b\u00a0c", "✓ 🙂 e\u0301", "[red] \\n"])
def test_what_steers_nothing_stays_as_it_is(text: str) -> None:
    assert shown(text) == text


def test_nothing_writes_to_the_terminal_but_through_the_two_doors() -> None:
    """`cli/said.py` and `display/texts.py`: whoever adds an output adds it there."""
    package = Path(dspy_service.__file__).parent
    doors = {package / "cli" / "said.py", package / "display" / "texts.py"}
    forbidden = {"echo", "secho", "print", "Text", "echo_via_pager"}
    for file in set(package.rglob("*.py")) - doors:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                allowed = called == "console.print" and ast.unparse(node.args[0]).startswith(("text(", "table"))
                assert called.rpartition(".")[2] not in forbidden or allowed, f"{file}:{node.lineno} {called}"


def test_times_of_every_zone_can_be_told() -> None:
    for text in ("1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "9999-99-99", "2026-03-01T09:30:00.123456789Z"):
        entry = reading.entry(LogEntry, {**GOOD[LogEntry], "timestamp": text})
        assert isinstance(entry.timestamp.astimezone(), datetime)
