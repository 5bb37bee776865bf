"""An optimizer's folders and its process, for tests: what the reporter would write, and what the optimizer answers.

Processes are forked from one that has dspy imported already (`OptimizerForge`): a test costs milliseconds of start-up
instead of half a second, and the fork of a prewarmed process is tested on the way.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from dspy_service_core.registry.catalogue import bundled
from dspy_service_core.registry.registry import Registry, build, targets_of
from dspy_service_core.registry.registry_file import RegistryFile
from dspy_service_core.resource.sources import sources_of
from scripted_lm import TICKETS
from waiting import wait_for

SIGNATURE = '''
class Ticket(dspy.Signature):
    """Classify the support ticket."""

    text: str = dspy.InputField()
    label: str = dspy.OutputField()
'''
METRIC = """
def metric(gold, pred, trace=None):
    return gold.label == pred.label
"""
KEY = "sk-canary-0123456789"
LOG_QUOTA = 10_000_000
REGISTRY = build(RegistryFile(allow=("dspy", "own_optimizer")), bundled())
"""As the operator's, with all of dspy allowed by path: a test may name what is not there."""


def make_spec(url: str = "http://127.0.0.1:1/v1", **changes: Any) -> dict[str, Any]:
    """A resolved spec as `job.json` holds it."""
    model = {"name": "openai/scripted", "baseUrl": url}
    spec: dict[str, Any] = {
        "module": {"name": "predict"},
        "optimizer": {"name": "dspy.BootstrapFewShot", "kwargs": {}, "compileKwargs": {}},
        "signature": {"code": SIGNATURE},
        "metric": {"code": METRIC},
        "columns": {"inputs": {"text": "text"}, "outputs": {"label": "label"}},
        "split": {"train": "0.5", "val": "0.25", "test": "0.25", "shuffle": True, "seed": 7},
        "models": {"default": model, "reflection": model},
    }
    return spec | changes


def program_spec(url: str, sent: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """The spec of a job that brings a program: `sent` is what of it the program decides."""
    spec = make_spec(url)
    for name in ("module", "signature", "columns"):
        del spec[name]
    return spec | sent | changes


@dataclass
class Folders:
    """`/job/in`, `/job/out` and the scratch folder of one attempt."""

    root: Path

    @property
    def inputs(self) -> Path:
        return self.root / "in"

    @property
    def out(self) -> Path:
        return self.root / "out"

    @property
    def arguments(self) -> list[str]:
        return ["--in", str(self.inputs), "--out", str(self.out), "--scratch", str(self.root / "scratch")]

    def result(self) -> dict[str, Any]:
        return dict(json.loads((self.out / "result.json").read_text()))

    def state(self) -> dict[str, Any]:
        return dict(json.loads((self.out / "artifact/program.json").read_text()))

    def progress(self) -> dict[str, Any]:
        return dict(json.loads((self.out / "progress.json").read_text()))

    def lines(self, name: str) -> list[dict[str, Any]]:
        """Whole lines alone: the last one may still be written, or be cut by a kill."""
        path = self.out / name
        data = path.read_bytes() if path.exists() else b""
        return [json.loads(line) for line in data[: data.rfind(b"\n") + 1].splitlines()]

    def events(self, name: str = "") -> list[dict[str, Any]]:
        return [event for event in self.lines("events.jsonl") if name in ("", event["event"])]

    def messages(self, logger: str = "") -> list[str]:
        return [entry["message"] for entry in self.lines("logs.jsonl") if logger in ("", entry["logger"])]


def make_folders(
    root: Path,
    spec: Mapping[str, Any],
    rows: Iterable[Mapping[str, Any]] = TICKETS,
    ready: bool = True,
    attempt: int = 1,
    known: Registry = REGISTRY,
) -> Folders:
    folders = Folders(root)
    for folder in (folders.inputs, folders.out, root / "scratch"):
        folder.mkdir(parents=True)
    module = None if "program" in spec else spec["module"]["name"]
    targets = json.loads(targets_of(module, spec["optimizer"]["name"], known).json_text())
    job = {
        "jobId": "j1",
        "name": "job-j1",
        "namespace": "default",
        "attempt": attempt,
        "targets": targets,
        "spec": spec,
    }
    for source in sources_of(spec):
        if source.file is not None:
            (folders.inputs / source.mounted).parent.mkdir(parents=True)
            (folders.inputs / source.mounted).write_text(source.code or "")
    (folders.inputs / "job.json").write_text(json.dumps(job))
    (folders.inputs / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if ready:
        (folders.inputs / "ready").touch()
    return folders


def next_attempt(earlier: Folders, root: Path) -> Folders:
    """What the reporter restores: the journal, the candidates and the checkpoint."""
    spec = json.loads((earlier.inputs / "job.json").read_text())["spec"]
    rows = [json.loads(line) for line in (earlier.inputs / "rows.jsonl").read_text().splitlines()]
    folders = make_folders(root, spec, rows, attempt=2)
    for name in ("calls.jsonl", "candidates.jsonl"):
        parts = [path for path in (earlier.inputs / name, earlier.out / name) if path.exists()]
        (folders.inputs / name).write_bytes(b"".join(path.read_bytes() for path in parts))
    (earlier.out / "checkpoint").rename(folders.inputs / "checkpoint")
    return folders


@dataclass
class OptimizerProcess:
    forge: "OptimizerForge"
    pid: int
    folders: Folders
    stdout: Path
    _status: int | None = field(default=None, init=False)

    def poll(self) -> int | None:
        """Its exit code, minus the signal's number where one ended it, or None while it runs."""
        if self._status is None:
            self._status = self.forge.ask({"poll": self.pid})["code"]
        return self._status

    def wait(self, timeout: float = 60) -> int:
        wait_for(lambda: self.poll() is not None, timeout, what=f"the end of optimizer {self.pid}")
        assert self._status is not None
        return self._status

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)


class OptimizerForge:
    """A process with the optimizer imported, which forks one for each job."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return dict(json.loads(self._process.stdout.readline()))

    def start(self, folders: Folders, log_quota: int = LOG_QUOTA, **environment: str) -> OptimizerProcess:
        stdout = folders.root / "stdout.txt"
        variables = {
            "DSPY_SERVICE_KEY_DEFAULT": KEY,
            "DSPY_SERVICE_KEY_REFLECTION": KEY,
            "DSPY_SERVICE_OPTIMIZER_STOP_INTERVAL": "0.02",
            **environment,
        }
        arguments = [*folders.arguments, "--log-quota", str(log_quota)]
        answer = self.ask({"start": arguments, "environment": variables, "stdout": str(stdout)})
        return OptimizerProcess(self, answer["pid"], folders, stdout)

    def run(self, folders: Folders, log_quota: int = LOG_QUOTA, **environment: str) -> dict[str, Any]:
        """Waits for its regular end, and answers the result."""
        process = self.start(folders, log_quota, **environment)
        code = process.wait()
        assert code == 0, f"exit code {code}: {process.stdout.read_text()[-4000:]}"
        return folders.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def _serve() -> None:
    from dspy_service_runner.optimizer import main  # only here: tests that do not fork need no dspy

    answers = os.fdopen(os.dup(1), "w", buffering=1)
    for line in sys.stdin:
        request = json.loads(line)
        if "poll" in request:
            pid, status = os.waitpid(request["poll"], os.WNOHANG)
            print(json.dumps({"code": os.waitstatus_to_exitcode(status) if pid else None}), file=answers)
            continue
        pid = os.fork()
        if not pid:
            os.setsid()
            os.environ.update(request["environment"])
            output = os.open(request["stdout"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(output, 1)
            os.dup2(output, 2)
            main.main(request["start"])
        print(json.dumps({"pid": pid}), file=answers)


if __name__ == "__main__":
    _serve()
