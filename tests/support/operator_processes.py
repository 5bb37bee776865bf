"""`dspy-service-operator` as processes of their own, several of them, on any cluster."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from waiting import wait_for

_COMMAND = [sys.executable, "-c", "from dspy_service_operator.main import main; main()"]
Start = Callable[..., "OperatorProcess"]


class OperatorProcess:
    def __init__(self, log: Path, environment: dict[str, str]) -> None:
        self.log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(_COMMAND, env=environment, stdout=out, stderr=out)

    @property
    def said(self) -> str:
        return self.log.read_text()

    @property
    def leads(self) -> bool:
        return " leads" in self.said

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def ended(self, timeout: float = 60) -> int:
        wait_for(
            lambda: self.process.poll() is not None, timeout=timeout, what=f"an operator to end: {self.said[-2000:]}"
        )
        return int(self.process.returncode)


@contextmanager
def operator_processes(kubeconfig: Path, namespace: str, folder: Path) -> Iterator[Start]:
    """Each call starts another; all that are left are killed at the end."""
    started: list[OperatorProcess] = []

    def start(**settings: object) -> OperatorProcess:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DSPY_SERVICE_")}
        given = {"namespace": namespace, "store_url": "", "lease_namespace": namespace, **settings}
        variables = {f"DSPY_SERVICE_{name.upper()}": str(value) for name, value in given.items()}
        environment = {**kept, **variables, "KUBECONFIG": str(kubeconfig)}
        started.append(OperatorProcess(folder / f"operator-{len(started)}.log", environment))
        return started[-1]

    try:
        yield start
    finally:
        for each in started:
            each.process.kill()
            each.process.wait()
