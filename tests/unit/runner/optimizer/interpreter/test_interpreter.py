"""What Python that a model wrote can reach, and what ends it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dspy import LocalInterpreter
from dspy.primitives.code_interpreter import CodeExecutionError, CodeInterpreterError

from dspy_service_runner.optimizer.interpreter.interpreter import interpreter_factory
from dspy_service_runner.optimizer.settings import Settings
from waiting import wait_for

SECRETS = {"DSPY_SERVICE_KEY_DEFAULT": "sk-canary-1", "SEARCH_TOKEN": "canary-2", "OPENAI_API_KEY": "canary-3"}
OWNER = """
import time
from dspy_service_runner.optimizer.interpreter.interpreter import interpreter_factory
from dspy_service_runner.optimizer.settings import Settings

made = interpreter_factory(Settings())()
made.start()
print(made._process.pid, flush=True)
made.execute("while True: pass")
"""


@pytest.fixture
def interpreter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    made = interpreter_factory(Settings(interpreter_seconds=5, interpreter_memory=256 * 1024 * 1024))()
    yield made
    made.shutdown()


def test_it_runs_code_and_keeps_what_was_defined(interpreter: Any) -> None:
    assert interpreter.execute("x = 6 * 7\nprint(x)") == "42"
    assert interpreter.execute("x + 1") == 43


@pytest.mark.parametrize(
    "code",
    [
        "import os\nprint(dict(os.environ))",
        "print(open('/proc/self/environ').read())",
        "import subprocess, sys\nprint(subprocess.run([sys.executable, '-c', 'import os; print(os.environ)'], "
        "capture_output=True, text=True).stdout)",
    ],
)
def test_no_key_and_no_secret_is_in_its_environment(interpreter: Any, code: str) -> None:
    said = interpreter.execute(code)
    assert "PATH" in said
    assert not [value for value in SECRETS.values() if value in said]


def test_its_memory_is_limited(interpreter: Any) -> None:
    with pytest.raises(CodeExecutionError, match="MemoryError"):
        interpreter.execute("x = bytearray(512 * 1024 * 1024)")


def test_its_time_is_limited() -> None:
    made = interpreter_factory(Settings(interpreter_seconds=0.5))()
    made.start()
    process = made._process
    with pytest.raises(CodeInterpreterError, match="exceeded execution timeout"):
        made.execute("while True: pass")
    assert process.poll() is not None


def test_it_ends_with_the_optimizer_however_that_ends() -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        owner.kill()
        wait_for(lambda: _gone(pid), what="the end of the interpreter's process")


def _gone(pid: int) -> bool:
    """A process that nobody has waited for yet is a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_its_rules_are_those_of_dspys_own() -> None:
    """RLM writes them into its prompt, so that a prompt is the same where dspy's is configured."""
    made: Any = interpreter_factory(Settings())
    assert made.execution_instructions == LocalInterpreter.execution_instructions
