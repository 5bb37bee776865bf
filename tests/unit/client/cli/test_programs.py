"""Programs on the command line: their files, what a payload's file says of them, and code that runs only when asked."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dspy_service.answers import Artifact
from dspy_service.cli import cli
from dspy_service.cli.connection import Connection
from dspy_service.files.artifact_files import write_artifact
from fake_service import FakeService

PROGRAM = "import dspy\nfrom helpers.text import short\n\n\nclass Answer(dspy.Module): ...\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "helpers").mkdir()
    (tmp_path / "helpers" / "text.py").write_text("def short(text): return text\n")
    (tmp_path / "helpers" / "__init__.py").write_text("")
    (tmp_path / "terms.csv").write_text("a,b\n")
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "metric.py").write_text("@staticmethod\ndef metric(gold, pred): return 1\n")
    return tmp_path


def invoke(service: FakeService, *arguments: str) -> Result:
    connection = Connection("http://service", None, service.transport, service.sleep)
    return CliRunner().invoke(cli, arguments, obj=connection)


def test_a_program_with_its_files(folder: Path) -> None:
    service = FakeService()
    given = ("--program", "program.py"), ("--file", "helpers"), ("--file", "terms.csv"), ("--metric", "metric.py")
    options = [part for option, name in given for part in (option, str(folder / name))]
    assert invoke(service, "submit", *options, "--adapter", "json").exit_code == 0
    sent = service.body()
    assert sent["program_code"] == PROGRAM
    assert sent["program_files"] == {
        "helpers/__init__.py": "",
        "helpers/text.py": "def short(text): return text\n",
        "terms.csv": "a,b\n",
    }
    assert sent["adapter"] == "json"
    assert "module_name" not in sent


@pytest.mark.parametrize(
    "files",
    [["helpers", "terms.csv"], {"helpers/text.py": "@helpers/text.py", "terms.csv": "a,b\n"}],
    ids=["by their places", "by names of their own"],
)
def test_a_payload_names_its_files(folder: Path, files: object) -> None:
    service = FakeService()
    payload = {"program_code": "@program.py", "metric_code": "@metric.py", "program_files": files}
    (folder / "payload.json").write_text(json.dumps(payload))
    assert invoke(service, "submit", str(folder / "payload.json")).exit_code == 0
    sent = service.body()
    assert sent["program_code"] == PROGRAM
    assert sent["metric_code"].startswith("@staticmethod\n")
    assert sent["program_files"]["helpers/text.py"] == "def short(text): return text\n"
    assert sent["program_files"]["terms.csv"] == "a,b\n"


def test_code_that_begins_with_a_decorator_is_code(folder: Path) -> None:
    service = FakeService()
    code = (folder / "metric.py").read_text()
    (folder / "payload.json").write_text(json.dumps({"metric_code": code}))
    assert invoke(service, "submit", str(folder / "payload.json")).exit_code == 0
    assert service.body()["metric_code"] == code


def test_a_secret_s_value_is_the_environment_s(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEARCH_KEY", "s-1234")
    service = FakeService()
    options = ("--program", str(folder / "program.py"), "--secret", "SEARCH_KEY")
    result = invoke(service, "submit", *options)
    assert service.body()["secrets"] == {"SEARCH_KEY": "s-1234"}
    assert "s-1234" not in result.output


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--file", "terms.csv"], "give --program too"),
        (["--program", "helpers/text.py", "--file", "terms.csv"], "does not lie below"),
        (["--program", "program.py", "--secret", "NO_SUCH_VARIABLE"], "no such environment variable"),
        (["--program", "bytes.py"], "cannot be read as text"),
        (["broken.json"], "nothing.py cannot be read as text"),
    ],
)
def test_wrong_usage(folder: Path, options: list[str], told: str) -> None:
    (folder / "bytes.py").write_bytes(b"\xff\xfe")
    (folder / "broken.json").write_text('{"program_code": "@nothing.py"}')
    arguments = [str(folder / part) if "." in part else part for part in options]
    result = invoke(FakeService(), "submit", *arguments)
    assert result.exit_code == 2
    assert told in result.stderr


SOURCE = """
import dspy
from words import GREETING
print("this code ran")
class Answer(dspy.Module):
    def __init__(self, extra=""):
        super().__init__()
        self.predict = dspy.Predict("question -> answer")
        self.predict.signature = self.predict.signature.with_instructions(GREETING + extra)
    def forward(self, question): return self.predict(question=question)
"""
FIELDS = [{"prefix": f"{name}:", "description": "x"} for name in ("Question", "Answer")]
STATE = {"predict": {"signature": {"instructions": "Better.", "fields": FIELDS}, "demos": [], "lm": None}}


def test_source_runs_only_when_it_is_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "program"
    artifact = Artifact(
        "artifacts/x",
        program_code=SOURCE,
        program_files={"words.py": "GREETING = 'Hello.'\n"},
        arguments={"class": "Answer", "kwargs": {"extra": "!"}},
        program_state=STATE,
    )
    write_artifact(artifact, folder)
    without = invoke(FakeService(), "inspect", str(folder))
    assert without.exit_code == 0
    assert "this code ran" not in without.output
    refused = invoke(FakeService(), "inspect", str(folder), "--input", "question=x")
    assert refused.exit_code == 2
    assert "--run-code" in refused.stderr
    ran = invoke(FakeService(), "inspect", str(folder), "--run-code")
    assert ran.exit_code == 0, ran.output
    assert "question: str -> answer: str (0 demos)" in ran.output


def test_without_source_there_is_nothing_to_run(tmp_path: Path) -> None:
    write_artifact(Artifact("artifacts/x", program_state=STATE), tmp_path / "program")
    result = invoke(FakeService(), "inspect", str(tmp_path / "program"), "--run-code")
    assert result.exit_code == 2
    assert "There is no source here" in result.stderr
