"""Looks into a real dspy program, written the way the service writes it, and calls it on the demo's model."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cloudpickle
import dspy
import pytest
from click.testing import CliRunner, Result

from dspy_service.cli import cli
from dspy_service_local.demo.model.server import ModelServer


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture
def program(tmp_path: Path) -> Path:
    predict = dspy.Predict(dspy.Signature("question -> answer", "Answer briefly."))
    predict.demos = [dspy.Example(question="capital of France", answer="Paris").with_inputs("question")]
    (tmp_path / "program.pkl").write_bytes(cloudpickle.dumps(predict))
    (tmp_path / "metadata.json").write_text(json.dumps({"optimizer": "miprov2"}))
    (tmp_path / "prompt.md").write_text("# Predictor `self`\n")
    return tmp_path


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["inspect", *arguments])


def test_metadata_prompts_and_signatures_are_printed(program: Path) -> None:
    result = invoke(str(program))
    assert result.exit_code == 0, result.output
    for told in ('"optimizer": "miprov2"', "# Predictor `self`", "self: question: str -> answer: str (1 demos)"):
        assert told in result.stdout


def test_the_program_is_called(program: Path, model: ModelServer) -> None:
    result = invoke(
        str(program), "--input", "question=the capital city of France", "--model", "openai/m", "--base-url", model.url
    )
    assert result.exit_code == 0, result.output
    assert "answer='Paris'" in result.stdout


@pytest.mark.parametrize(
    ("options", "told"),
    [(["--input", "question=x"], "--model"), (["--input", "question", "--model", "m"], "FIELD=VALUE")],
)
def test_wrong_usage(program: Path, options: list[str], told: str) -> None:
    result = invoke(str(program), *options)
    assert result.exit_code == 2
    assert told in result.stderr


def test_a_folder_without_a_program(tmp_path: Path) -> None:
    result = invoke(str(tmp_path))
    assert result.exit_code == 2
    assert "program.pkl" in result.stderr


def test_no_other_command_imports_dspy() -> None:
    code = (
        "import sys; from dspy_service.cli.commands import OWN, CommandGroup; group = CommandGroup(found=[]); "
        "[group.get_command(None, name) for name in OWN]; sys.exit('dspy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
