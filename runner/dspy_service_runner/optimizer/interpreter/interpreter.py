"""dspy's local interpreter, with less of what it can reach.

dspy's default interpreter needs Deno and files from the internet. Its local one is a process with the optimizer's whole
environment. Here that process gets no variable that could hold a key or a secret, limits of time and memory, and it
ends with the optimizer. It is inside the job's own sandbox, as is all the job's code: it can read the job's files and
reach what the job can reach.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dspy.primitives import local_interpreter
from dspy.primitives.code_interpreter import CodeInterpreterError

from dspy_service_runner.optimizer.interpreter import confined_worker
from dspy_service_runner.optimizer.settings import Settings

_WORKER = Path(local_interpreter.__file__).with_name("local_interpreter_worker.py")
_START_SECONDS = 30.0
_PASSED_ON = frozenset({"PATH", "HOME", "TMPDIR", "TZ", "LANG", "LC_ALL", "LC_CTYPE"})
"""The only variables of the environment that it gets."""


class ConfinedInterpreter(local_interpreter.LocalInterpreter):  # type: ignore[misc]  # dspy is untyped
    memory_bytes = 0
    _process: "subprocess.Popen[str] | None"

    def start(self) -> None:
        """As dspy's own, but for how the process is made."""
        if self._ended:
            raise CodeInterpreterError("The interpreter's session has been shut down.")
        if self._process is not None:
            return
        self._process = process = _process(self.memory_bytes)
        threading.Thread(target=self._read_responses, args=(process,), daemon=True).start()
        message = self._receive(time.monotonic() + _START_SECONDS, "The interpreter's process did not start in time.")
        if message.get("type") != "ready":
            self._raise_terminal_error(f"The interpreter's process began with {message!r}.")


def interpreter_factory(settings: Settings) -> Callable[[], Any]:
    """A class, because RLM reads the factory's `execution_instructions`."""

    class Interpreter(ConfinedInterpreter):
        memory_bytes = settings.interpreter_memory

        def __init__(self) -> None:
            super().__init__(execution_timeout=settings.interpreter_seconds)

    return Interpreter


def _process(memory: int) -> "subprocess.Popen[str]":
    arguments = [confined_worker.__file__, str(_WORKER), str(os.getpid()), str(memory)]
    try:
        return subprocess.Popen(
            [sys.executable, "-I", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
            env=_environment(os.environ),
        )
    except OSError as error:
        raise CodeInterpreterError(f"The interpreter's process cannot be started: {error}") from error


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in own.items() if name in _PASSED_ON}
