"""The commands of docs/programs.md send the program that the guide's notebook sends, by its files; that of
docs/budgets.md caps a job."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dspy_service import Client, build_payload, read_rows
from pages import command_lines, sessions
from payloads import payload
from whole_jobs import submit
from whole_service import Service

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "programs.md"
BUDGETS = ROOT / "docs" / "budgets.md"
OPTIMIZER = ["--optimizer", "dspy.LabeledFewShot", "--set", "optimizer_kwargs.k=16"]
"""In place of the page's, which takes its time."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path in (*(ROOT / "usage_guide").glob("*.py"), *(ROOT / "examples").glob("*.*")):
        shutil.copy(path, tmp_path)
    return tmp_path


def command(beginning: str, page: Path = PAGE) -> list[str]:
    (line,) = [it for it in command_lines(page.read_text()) if it.startswith(beginning)]
    return shlex.split(line)


def test_a_program_is_sent_by_its_files(running: Service, humble_model: str, folder: Path) -> None:
    _, *arguments = command("dspy-service submit --program")
    arguments[arguments.index("--optimizer") : arguments.index("--optimizer") + 2] = OPTIMIZER
    arguments[arguments.index("--model") + 1] = "openai/humble-1"
    line = [sys.executable, "-m", "dspy_service", "--url", running.url, *arguments, "--base-url", humble_model]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test rows" in done.stdout


def test_a_program_is_sent_with_curl(running: Service, humble_model: str, folder: Path) -> None:
    files = {name: (folder / name).read_text() for name in ("places.py", "teams.py")}
    payload = build_payload(
        folder / "desk.py",
        metric=folder / "metric.py",
        trainset=read_rows(folder / "tickets.jsonl"),
        files=files,
        optimizer="dspy.LabeledFewShot",
        lm={"name": "openai/humble-1", "base_url": humble_model},
    )
    (folder / "program.json").write_text(json.dumps(payload))
    line = [part.replace("http://127.0.0.1:8000", running.url) for part in command("curl -s http")]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=60)
    with Client(running.url) as client:
        client.wait(json.loads(done.stdout)["job_id"]).raise_unless_success()


def test_an_estimate_is_what_the_page_shows(running: Service) -> None:
    (shown,) = [it for it in sessions(PAGE.read_text()) if it.command.startswith("dspy-service estimate")]
    line = [sys.executable, "-m", "dspy_service", "--url", running.url, *shlex.split(shown.command)[1:]]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == (shown.output, "")


def test_a_payload_is_submitted_again(running: Service, humble_model: str, tmp_path: Path) -> None:
    secret = {"SEARCH_TOKEN": "a word of the test"}
    body = json.loads(payload(30, humble_model)) | {"secrets": secret}
    body |= {"optimizer_name": "dspy.LabeledFewShot", "optimizer_kwargs": {}}
    job_id = submit(running.http, json.dumps(body).encode())
    again = command("dspy-service submit again")
    again[again.index("--set") + 1] = "optimizer_kwargs.k=3"  # in place of one that takes its time
    here = {"DSPY_SERVICE_URL": running.url, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    fetched = shlex.join(command("dspy-service payload")[:-2]).replace("ID", job_id)
    lines = [f"{fetched} > again.json", shlex.join(again)]
    done = subprocess.run(
        ["bash", "-ec", "\n".join(lines)], cwd=tmp_path, env=here | secret, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    with Client(running.url) as client:
        sent = client.payload(done.stdout.strip())
    assert sent == json.loads((tmp_path / "again.json").read_text()) | {"optimizer_kwargs": {"k": 3}}


def test_a_job_is_capped(running: Service, humble_model: str) -> None:
    priced = {"base_url": humble_model, "prices": {"input": 0.15, "output": 0.6}}
    model = [
        "--model",
        "openai/humble-1",
        *(f"--set=model_config.{name}={json.dumps(priced[name])}" for name in priced),
    ]
    _, *arguments = command("dspy-service submit examples/payload.json", BUDGETS)
    line = [sys.executable, "-m", "dspy_service", "--url", running.url, *arguments, *model]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    with Client(running.url) as client:
        job = client.wait(done.stdout.strip())
        job.raise_unless_success()
        assert job.usage is not None
        assert 0 < job.usage.calls <= 500
        assert client.payload(job.job_id)["budget"] == {"model_calls": 500, "cost_usd": 2.5}
