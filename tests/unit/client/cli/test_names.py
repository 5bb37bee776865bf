"""Commands by what people type for jobs, and what `list` and `show` tell them to type."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from dspy_service import Summary, answers
from dspy_service.cli import cli
from dspy_service.cli.commands import OWN
from dspy_service.cli.connection import Connection
from dspy_service.cli.reading.list_jobs import table_of
from fake_service import FakeService

FIRST = "4f0c6b6e-8a0e-4a59-9a38-6b4c6f1d2a10"
SECOND = "4f0c6b6e-8a0e-4a59-9a38-6b4c6f1d2a11"
METRICS = {"baseline_test_metric": 28.6, "optimized_test_metric": 51.2, "tqdm_n": 50, "tqdm_total": 50}


@pytest.fixture
def service() -> FakeService:
    service = FakeService()
    service.add("running", job_id=FIRST, name="tickets", note="before the new rows", logs=["a\x1b[2J", "b"])
    service.add("running", "success", job_id=SECOND, logs=["a"], events=[("optimized_evaluated", METRICS)])
    return service


def invoke(service: FakeService, *arguments: str) -> Result:
    connection = Connection("http://service", transport=service.transport, sleep=service.sleep)
    return CliRunner().invoke(cli, arguments, obj=connection)


def lines_of(result: Result) -> list[Any]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize(
    "command",
    ["show", "watch", "logs", "payload", "rows", "candidates", "artifact", "cancel", "stop", "pause", "delete"],
)
def test_nothing_is_done_by_the_beginning_of_several_ids(service: FakeService, command: str) -> None:
    result = invoke(service, command, "4f0c6b6e")
    assert (result.exit_code, result.stdout) == (2, "")
    assert FIRST in result.stderr
    assert SECOND in result.stderr
    assert {request.method for request in service.requests} == {"GET"}


@pytest.mark.parametrize(
    "command",
    [
        "show",
        "watch",
        "logs",
        "payload",
        "rows",
        "candidates",
        "artifact",
        "resume",
        "delete",
    ],
)
def test_what_nobody_is_called_is_not_there(service: FakeService, command: str) -> None:
    for typed in ("nobody", "ffff"):
        result = invoke(service, command, typed)
        assert (result.exit_code, result.stdout) == (4, "")
        assert f"Unknown job '{typed}'." in result.stderr


def test_of_several_none_is_touched_unless_all_are_known(service: FakeService) -> None:
    for command in ("cancel", "delete"):
        assert invoke(service, command, "tickets", "4f0c").exit_code == 2
    assert {request.method for request in service.requests} == {"GET"}


def test_a_name_is_said_as_it_was_typed(service: FakeService) -> None:
    assert invoke(service, "pause", "tickets").stdout == "pausing tickets (running)\n"
    assert service.requests[-1].url.path == f"/jobs/{FIRST}/pause"
    assert invoke(service, "delete", "tickets").stdout == "deleted tickets\n"


def test_submit_gives_a_name_and_a_note(service: FakeService, tmp_path: Path) -> None:
    (tmp_path / "payload.json").write_text('{"run_options": {"priority": 1}}')
    invoke(service, "submit", str(tmp_path / "payload.json"), "--name", "42", "--note", "why: because")
    assert service.body()["run_options"] == {"priority": 1, "name": "42", "note": "why: because"}


def test_a_pipe_has_the_whole_id_first_and_the_name_last(service: FakeService) -> None:
    rows = [line.split("\t") for line in invoke(service, "list").stdout.splitlines()]
    assert [(row[0], row[1], row[-1]) for row in rows] == [(FIRST, "running", "tickets"), (SECOND, "running", "")]


def job(job_id: str, name: str | None = None) -> Summary:
    fractions = answers.SplitFractions(0.5, 0.2, 0.3)
    optimizer = "dspy.BootstrapFewShotWithRandomSearch"
    return Summary(job_id, "running", "", datetime.now(UTC), "cot", optimizer, fractions, 7, name=name)


@pytest.mark.parametrize("width", [10, 40, 60, 80, 120, 200])
def test_a_terminal_of_any_width_shows_whole_what_can_be_typed(width: int) -> None:
    out = io.StringIO()
    jobs = [
        job(FIRST, "a-name-of-63-characters".ljust(63, "x")),
        job(SECOND),
        job("cafe" + FIRST[4:]),
        job("k" * 52, "k" * 52),
    ]
    Console(file=out, width=width, force_terminal=True).print(table_of(jobs, width), crop=False)
    told = out.getvalue()
    for typed in (FIRST, SECOND, "cafe6b6e-8a0e", jobs[0].name or "", "k" * 52):
        assert any(typed in line.split() for line in told.splitlines()), told
    assert ("Bootstrap" in told) == (width == 200)


def test_show_tells_the_whole_job(service: FakeService) -> None:
    service.jobs[SECOND].looks = 2
    told = invoke(service, "show", SECOND).stdout
    for line in (
        f"job        {SECOND}",
        "status     success: message",
        "scores     baseline 28.6, optimized 51.2 on the test rows",
        "progress   50 of 50 metric calls",
        "optimizer  miprov2",
        "rows       30, seed 7",
    ):
        assert line in told.splitlines(), told
    told = invoke(service, "show", "tickets").stdout
    assert "name       tickets\n" in told
    assert "note       before the new rows\n" in told


def test_show_as_json_is_the_summary_with_result_and_changes(service: FakeService) -> None:
    service.jobs[SECOND].looks = 2
    told = json.loads(invoke(service, "show", SECOND, "--output", "json").stdout)
    assert (told["job_id"], told["status"], told["result"], told["changes"]) == (SECOND, "success", None, [])


def test_watch_and_logs_are_json_lines(service: FakeService) -> None:
    watched = invoke(service, "watch", SECOND, "--output", "json")
    told = lines_of(watched)
    assert watched.exit_code == 0
    assert {kind for line in told for kind in line} == {"event", "log", "status"}
    assert told[-1]["status"]["status"] == "success"
    service.jobs[FIRST].looks = 1
    logged = invoke(service, "logs", "tickets", "--output", "json")
    assert [entry["message"] for entry in lines_of(logged)] == ["a\x1b[2J", "b"]
    assert "\x1b" not in logged.stdout


def test_a_failed_job_ends_a_watch_as_ever(service: FakeService) -> None:
    service.add("failed", job_id="x")
    assert invoke(service, "watch", "x", "--output", "json").exit_code == 1


def test_submitting_and_watching_is_json_lines(service: FakeService, tmp_path: Path) -> None:
    (tmp_path / "payload.json").write_text("{}")
    result = invoke(service, "submit", str(tmp_path / "payload.json"), "--watch", "--output", "json")
    told = lines_of(result)
    assert (result.exit_code, told[0]["submitted"]["job_id"]) == (0, "job3")
    assert told[-1]["status"]["status"] == "success"


def test_control_and_delete_are_a_line_for_each_job(service: FakeService) -> None:
    told = lines_of(invoke(service, "cancel", "tickets", SECOND, "--output", "json"))
    assert [(line["job_id"], line["status"]) for line in told] == [(FIRST, "cancelled"), (SECOND, "cancelled")]
    told = lines_of(invoke(service, "delete", "tickets", SECOND, "--output", "json"))
    assert told == [{"job_id": job_id, "deleted": True, "finalizers": []} for job_id in (FIRST, SECOND)]


def test_an_artifact_tells_its_files(service: FakeService, tmp_path: Path) -> None:
    service.jobs[SECOND].looks = 2
    result = invoke(service, "artifact", SECOND, "-o", str(tmp_path / "program"), "--output", "json")
    told = json.loads(result.stdout)
    assert told["directory"] == str(tmp_path / "program")
    assert told["files"]["program.json"] > 0
    inspected = invoke(service, "inspect", str(tmp_path / "program"), "--output", "json")
    assert json.loads(inspected.stdout)["prompt"] == "# Predictor\n"


@pytest.mark.parametrize("name", OWN)
def test_every_command_can_answer_as_json(service: FakeService, name: str) -> None:
    command = cli.get_command(None, name)  # type: ignore[arg-type]  # our own needs no context
    assert command is not None
    (output,) = [option for option in command.params if "--output" in option.opts]
    assert "json" in getattr(output.type, "choices", ())
