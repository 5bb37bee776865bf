"""kubectl as a test's tool."""

import json
import os
import queue
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_KILLED = 128 + 9
"""What `kubectl exec` ends with where its process got SIGKILL."""


@dataclass(frozen=True)
class Kubectl:
    """kubectl in one namespace; `run` gives what it printed (with its complaints where it `fails`, as it is to)."""

    kubeconfig: Path
    namespace: str
    home: Path

    def run(self, *arguments: str, stdin: str = "", fails: bool = False, timeout: float = 60) -> str:
        done = self._done(arguments, stdin, timeout)
        assert (done.returncode != 0) == fails, _account(arguments, done)
        return done.stdout + done.stderr if fails else done.stdout

    def terminate(self, pod: str, container: str) -> None:
        """Ends a container by its first process. What sends the signal from inside may be killed along with the
        container before it has ended by itself: both are well, and what follows from the container's end is the proof.
        """
        arguments = ("exec", pod, "-c", container, "--", "python", "-c", "import os; os.kill(1, 15)")
        done = self._done(arguments)
        assert done.returncode in (0, _KILLED), _account(arguments, done)

    def apply(self, manifest: Mapping[str, Any]) -> str:
        return self.run("apply", "-f", "-", stdin=yaml.safe_dump(dict(manifest)))

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run("get", *arguments, "-o", "json"))

    def command(self, *arguments: str) -> list[str]:
        return ["kubectl", "--namespace", self.namespace, *arguments]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOME": str(self.home)}

    def _done(self, arguments: Sequence[str], stdin: str = "", timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            input=stdin,
            capture_output=True,
            text=True,
            env=self.environment(),
            timeout=timeout,
        )


def _account(arguments: Sequence[str], done: subprocess.CompletedProcess[str]) -> str:
    return f"kubectl {arguments}: {done.returncode}\n{done.stdout}{done.stderr}"


class Followed:
    """A kubectl command that goes on, and whose lines are read as they come."""

    def __init__(self, kubectl: Kubectl, *arguments: str) -> None:
        self._process = subprocess.Popen(
            kubectl.command(*arguments), stdout=subprocess.PIPE, text=True, env=kubectl.environment()
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def lines(self, count: int, timeout: float = 20) -> list[str]:
        return [self._lines.get(timeout=timeout) for _ in range(count)]

    def wait(self, timeout: float) -> int:
        return self._process.wait(timeout)

    def end(self) -> None:
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=10)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
