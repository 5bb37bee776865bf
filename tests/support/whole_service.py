"""A whole service in a folder of its own, as a user starts it, for the time of one test or measurement."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import httpx
import psutil

from declared_answers import HELD
from live_files import files_below
from waiting import wait_for

START_SECONDS = 60
STOP_SECONDS = 30
"""`up` promises to be gone 10 s after SIGTERM, and ends itself then; the rest is this machine's slack."""


@dataclass(frozen=True)
class Service:
    url: str
    data_dir: Path
    process: psutil.Process
    http: httpx.Client
    token: str = ""
    namespace: str = "default"

    @property
    def kubeconfig(self) -> Path:
        return self.data_dir / "kubeconfig"

    def stored(self, store_id: str) -> Set[str]:
        root = self.data_dir / "volumes" / self.namespace / "dspy-service-store"
        found = (path.relative_to(root) for path in files_below(root))
        return {str(path) for path in found if store_id in path.parts}

    def processes(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]

    def resident_mib(self) -> float:
        """Proportional set sizes summed, so that a page shared by two of its processes counts once."""
        return sum(_pss(process) for process in self.processes()) / 2**20


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0


_FIRST_PORT = 10_000 + os.getpid() % 200 * 100
_PORTS = cycle(range(_FIRST_PORT, _FIRST_PORT + 100))
"""Of this test process, and below those that the kernel hands out itself: what is to listen binds seconds later."""


def free_port() -> int:
    return next(filter(_bindable, _PORTS))


def _bindable(port: int) -> bool:
    with socket.socket() as probe, suppress(OSError):
        probe.bind(("127.0.0.1", port))
        return True
    return False


@contextmanager
def service(
    *args: str,
    data_dir: Path | None = None,
    env: Mapping[str, str] | None = None,
    python: Path = Path(sys.executable),
) -> Iterator[Service]:
    """`dspy-service up` of that environment, with these arguments and variables, ended with SIGTERM."""
    with tempfile.TemporaryDirectory(prefix="dspy-service-whole-") as temporary:
        folder = data_dir or Path(temporary)
        port = free_port()
        command = [str(python.parent / "dspy-service"), "up", "--port", str(port)]
        process = subprocess.Popen(
            [*command, "--data-dir", str(folder), *args], stdout=subprocess.PIPE, text=True, env=_environment(env or {})
        )
        try:
            _await_ready(process)
            url = f"http://127.0.0.1:{port}"
            with httpx.Client(base_url=url, timeout=30, event_hooks=HELD) as http:
                yield Service(url, folder, psutil.Process(process.pid), http)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_SECONDS)


@contextmanager
def model_server(dataset: Path) -> Iterator[str]:
    """The tests' scripted model without latency; gives its base URL."""
    port = free_port()
    script = Path(__file__).parent / "scripted_lm.py"
    process = subprocess.Popen(
        [sys.executable, str(script), "--port", str(port), "--dataset", str(dataset), "--label", "team"]
    )
    try:
        await_port(port)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def _environment(further: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("DSPY_SERVICE_")} | dict(further)


def _await_ready(process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if "ready at" in line:
            return
    raise SystemExit(f"the service ended with {process.wait()} before it was ready")


def await_port(port: int) -> None:
    def listening() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_for(listening, timeout=START_SECONDS, what=f"something to listen at 127.0.0.1:{port}")
