"""Looks into a real dspy program, written the way the service writes it, and calls it on the demo's model."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import dspy
import httpx
import pytest
from click.testing import CliRunner, Result

from dspy_service import Client
from dspy_service.cli import cli
from dspy_service.cli.connection import Connection
from dspy_service.cli.reading.inspect_program import load_program
from dspy_service.files.artifact_files import NAMES, SIGNATURE
from dspy_service.files.downloads import recorded
from dspy_service_local.demo.model.server import ModelServer

JOB = "13749206-b021-54d0-b91c-1706120f95ca"
PROMPT = "# Predictor `self`\n"


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


class Bomb:
    """Unpickled it leaves a file."""

    def __init__(self, trace: Path) -> None:
        self._trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self._trace,))


def predictor() -> dspy.Predict:
    predict = dspy.Predict(dspy.Signature("question -> answer", "Answer briefly."))
    predict.demos = [dspy.Example(question="capital of France", answer="Paris").with_inputs("question")]
    return predict


def bundle(program: Any) -> dict[str, Any]:
    return {
        "path": f"artifacts/{JOB}",
        "program_pickle_base64": base64.b64encode(cloudpickle.dumps(program)).decode(),
        "metadata": {"optimizer": "miprov2"},
        "optimized_prompt": PROMPT,
        "program_state": predictor().dump_state() | {"metadata": {"dependency_versions": {}}},
        "baseline_state": dspy.Predict("question -> answer").dump_state(),
        "messages": {"adapter": "chat", "predictors": {}},
        "arguments": {"module": "dspy.Predict", "kwargs": {}, "adapter": "chat"},
        "signature_code": "class Ask(dspy.Signature): ...\n",
        "nearest_rows": {"k": 3},
        "joined_programs": {"programs": [], "kwargs": {}},
    }


GOOD = bundle(predictor())
"""Once: two picklings of one program differ in their bytes."""


def serving(found: dict[str, Any] | None) -> httpx.MockTransport:
    """The service, as long as the job is there."""

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == f"/jobs/{JOB}/artifact"
        if found is None:
            return httpx.Response(404, json={"detail": "Unknown job."})
        return httpx.Response(200, json={"program_artifact_path": found["path"], "program_artifact": found})

    return httpx.MockTransport(answer)


NOBODY = httpx.MockTransport(lambda _: (_ for _ in ()).throw(httpx.ConnectError("nobody listens")))


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return download(tmp_path / "program", GOOD)


@pytest.fixture
def bombed(tmp_path: Path) -> Path:
    return download(tmp_path / "program", bundle(Bomb(tmp_path / "ran")))


def download(directory: Path, found: dict[str, Any]) -> Path:
    with Client("http://service", transport=serving(found)) as client:
        return client.download(JOB, directory)


def invoke(*arguments: str, transport: httpx.MockTransport = NOBODY) -> Result:
    connection = Connection("http://service", transport=transport, sleep=lambda _: None)
    return CliRunner().invoke(cli, ["inspect", *arguments], obj=connection)


def test_metadata_prompts_and_predictors_are_printed_and_nothing_is_run(bombed: Path) -> None:
    result = invoke(str(bombed))
    assert result.exit_code == 0, result.output
    for told in ('"optimizer": "miprov2"', "# Predictor `self`", "self: Question, Answer (1 demos)"):
        assert told in result.stdout
    told = result.stdout.partition("\nChanges\n")[2]
    for line in ("self: 0 -> 1 demonstrations", "- Given the fields `question`, produce", "+ Answer briefly."):
        assert line in told
    assert result.stderr == ""
    assert not (bombed.parent / "ran").exists()


@pytest.mark.parametrize("options", [["--input", "question=x", "--model", "m"], ["--input", "question=x"]])
def test_a_call_without_the_flag_says_whose_code_it_would_run_and_runs_none(bombed: Path, options: list[str]) -> None:
    result = invoke(str(bombed), *options)
    assert result.exit_code == 2
    assert "--unpickle" in result.stderr
    assert f"whoever submitted job {JOB}" in result.stderr
    assert not (bombed.parent / "ran").exists()


def test_with_the_flag_it_is_run_and_that_is_said(bombed: Path) -> None:
    result = invoke(str(bombed), "--unpickle")
    assert f"whoever submitted job {JOB}" in result.stderr
    assert (bombed.parent / "ran").exists()


@pytest.mark.parametrize(
    ("programs", "said"), [(0, "Running source/: this runs"), (2, "Running source/ and joined/: this runs")]
)
def test_all_that_is_run_is_said(tmp_path: Path, programs: int, said: str) -> None:
    code = {"signature_code": "class Ask(dspy.Signature): ...\n", "program_code": None, "program_files": None}
    joined = [{"job_id": f"job{number}", "arguments": {}, **code} for number in range(programs)]
    told = GOOD | {"joined_programs": {"programs": joined, "kwargs": {}} if joined else None}
    assert said in invoke(str(download(tmp_path / "program", told)), "--run-code").stderr


def test_loading_takes_an_argument_that_says_so(bombed: Path) -> None:
    with pytest.raises(ValueError, match="allow_pickle"):
        load_program(bombed / "program.pkl", allow_pickle=False)
    assert not (bombed.parent / "ran").exists()


def test_the_program_is_called(program: Path, model: ModelServer) -> None:
    asked = ("--input", "question=the capital city of France", "--model", "openai/m", "--base-url", model.url)
    result = invoke(str(program), "--unpickle", *asked)
    assert result.exit_code == 0, result.output
    assert "self: question: str -> answer: str (1 demos)" in result.stdout
    assert "answer='Paris'" in result.stdout


CHANGES: dict[str, Callable[[Path], Any]] = {
    "other": lambda file: file.write_bytes(b"{}"),
    "gone": lambda file: file.unlink(),
    "a link": lambda file: (file.rename(file.with_suffix(".moved")), file.symlink_to(file.with_suffix(".moved"))),
    "a pipe": lambda file: (file.unlink(), os.mkfifo(file)),
}


@pytest.mark.parametrize("name", [*NAMES, SIGNATURE])
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_file_is_noticed_though_the_manifest_vouches_for_it(program: Path, name: str, change: str) -> None:
    CHANGES[change](program / name)
    forge_manifest(program)
    for options in ([], ["--unpickle"]):
        result = invoke(str(program), *options)
        assert result.exit_code == 5, result.output
        assert name in result.stderr


def forge_manifest(directory: Path) -> None:
    """Says of the files in the folder that they are what was made."""
    files = {
        name: {"sha256": hashlib.sha256((directory / name).read_bytes()).hexdigest()}
        for name in NAMES
        if (directory / name).is_file()
    }
    manifest = json.loads((directory / "manifest.json").read_text()) | {"files": files}
    (directory / "manifest.json").write_text(json.dumps(manifest))


def test_an_added_file_is_noticed(tmp_path: Path) -> None:
    found = bundle(predictor()) | {"optimized_prompt": None, "program_pickle_base64": None}
    program = download(tmp_path / "program", found)
    (program / "program.pkl").write_bytes(cloudpickle.dumps(Bomb(tmp_path / "ran")))
    assert invoke(str(program), "--unpickle").exit_code == 5
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", [None, *NAMES])
def test_a_folder_that_came_from_elsewhere_is_checked_against_the_service(program: Path, name: str | None) -> None:
    elsewhere = shutil.move(program, program.with_name("elsewhere"))
    if name:
        (elsewhere / name).write_bytes(b"{}")
        forge_manifest(elsewhere)
    result = invoke(str(elsewhere), transport=serving(GOOD))
    assert (result.exit_code, name is None or name in result.stderr) == (5 if name else 0, True), result.output
    assert "Unchecked" not in result.stderr


@pytest.mark.parametrize("transport", [NOBODY, serving(None)])
def test_where_nobody_can_tell_that_is_said(program: Path, transport: httpx.MockTransport) -> None:
    elsewhere = shutil.move(program, program.with_name("elsewhere"))
    result = invoke(str(elsewhere), transport=transport)
    assert result.exit_code == 0
    assert "Unchecked" in result.stderr
    (elsewhere / "metadata.json").write_text("{}")
    assert invoke(str(elsewhere), transport=transport).exit_code == 5


def test_the_record_is_its_owners_alone_and_lies_elsewhere(program: Path) -> None:
    state = Path(os.environ["XDG_STATE_HOME"])
    assert recorded(program)
    assert {path.stat().st_mode & 0o077 for path in state.rglob("*")} == {0}
    assert not program.is_relative_to(state)


def test_a_download_without_a_home_to_remember_in_is_one_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    program = download(tmp_path / "program", GOOD)
    assert recorded(program) is None
    assert invoke(str(program), transport=serving(GOOD)).exit_code == 0


def test_a_program_of_several_predictors_has_a_line_for_each(tmp_path: Path) -> None:
    class Two(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = dspy.Predict("a -> b"), dspy.ChainOfThought("b -> c")

    program = download(tmp_path / "program", GOOD | {"program_state": Two().dump_state()})
    lines = invoke(str(program)).stdout.splitlines()
    assert lines[-2:] == ["first: A, B (0 demos)", "second.predict: B, Reasoning, C (0 demos)"]


STEERING = "\x1b]52;c;AAAA\x07\x9b2J\u202e"


def test_what_a_job_wrote_is_shown_and_not_sent(tmp_path: Path) -> None:
    state = {f"a{STEERING}": {"signature": {"fields": [{"prefix": STEERING}, 5], "x": 1}, "demos": 5}, "b": [], "c": {}}
    found = bundle(5) | {"metadata": {STEERING: STEERING}, "optimized_prompt": STEERING, "program_state": state}
    program = download(tmp_path / "program", found)
    for options in ([], ["--input", "a=b"], ["--unpickle"]):
        result = invoke(str(program), *options)
        assert not set("\x1b\x07\x9b\u202e") & set(result.output)
    manifest = {"job_id": STEERING, "files": {}}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "manifest.json").write_text(json.dumps(manifest))
    for options in ([], ["--input", "a=b"]):
        assert not set("\x1b\x07\x9b\u202e") & set(invoke(str(tmp_path / "other"), *options).output)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--unpickle", "--input", "question=x"], "--model"),
        (["--unpickle", "--input", "question", "--model", "m"], "FIELD=VALUE"),
    ],
)
def test_wrong_usage(program: Path, options: list[str], told: str) -> None:
    result = invoke(str(program), *options)
    assert result.exit_code == 2
    assert told in result.stderr


def test_a_folder_without_a_program(tmp_path: Path) -> None:
    result = invoke(str(tmp_path), "--unpickle")
    assert result.exit_code == 2
    assert "program.pkl" in result.stderr


def test_no_other_command_imports_dspy() -> None:
    code = (
        "import sys; from dspy_service.cli.commands import OWN, CommandGroup; group = CommandGroup(found=[]); "
        "[group.get_command(None, name) for name in OWN]; sys.exit('dspy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
