"""The command of docs/programs.md sends the program that the guide's notebook sends, by its files."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pages import command_lines
from whole_service import Service

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
OPTIMIZER = ["--optimizer", "dspy.LabeledFewShot", "--set", "optimizer_kwargs.k=16"]
"""In place of the page's, which takes its time."""


def test_a_program_is_sent_by_its_files(running: Service, humble_model: str, tmp_path: Path) -> None:
    for path in (*(ROOT / "usage_guide").glob("*.py"), *(ROOT / "examples").glob("*.*")):
        shutil.copy(path, tmp_path)
    (line,) = [it for it in command_lines((ROOT / "docs/programs.md").read_text()) if "submit --program" in it]
    _, *arguments = shlex.split(line)
    arguments[arguments.index("--optimizer") : arguments.index("--optimizer") + 2] = OPTIMIZER
    arguments[arguments.index("--model") + 1] = "openai/humble-1"
    command = [sys.executable, "-m", "dspy_service", "--url", running.url, *arguments, "--base-url", humble_model]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test rows" in done.stdout
