"""A runner pod's volumes with the real reporter in them, and a pen to write what an optimizer would.

The reporter runs as a process (`start`, which can be killed) or in a thread of the test (`running`, which is quicker).
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import orjson

from attempt_api import POD_UID, TOKEN, AttemptApi
from dspy_service_core.storage import pod_files
from dspy_service_core.storage.segments import stream
from dspy_service_core.storage.store import Store, open_store
from dspy_service_runner.redaction import Redactor, secrets_of
from dspy_service_runner.reporter.attempt.attempt import Attempt
from dspy_service_runner.reporter.attempt.patience import GaveUp, Patience
from dspy_service_runner.reporter.inputs.arguments import Arguments, read_arguments
from dspy_service_runner.reporter.status.own_resource import Fenced, OwnResource
from waiting import wait_for

JOB_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"
NAME = f"job-{JOB_ID}"
COMMAND = "from dspy_service_runner.reporter.main import main; main()"
TARGETS = '{"module":{"path":"dspy.ChainOfThought"},"optimizer":{"path":"dspy.MIPROv2"}}'
ROWS = [{"text": f"row {n}", "label": "a"} for n in range(4)]


def make_resource(**spec: Any) -> dict[str, Any]:
    model = {"name": "openai/x", "baseUrl": ""}
    base: dict[str, Any] = {
        "module": {"name": "cot", "kwargs": {}},
        "optimizer": {"name": "miprov2", "kwargs": {}, "compileKwargs": {}},
        "signature": {"code": "class S: ..."},
        "metric": {"code": "def metric(gold, pred): ..."},
        "dataset": {"rows": ROWS},
        "columns": {"inputs": {"text": "text"}, "outputs": {"label": "label"}},
        "split": {"train": "0.5", "val": "0", "test": "0.5", "shuffle": True, "seed": 1},
        "models": {"default": model},
        "run": {},
        "suspend": False,
        "stop": "",
    }
    return {
        "apiVersion": "dspy-service.io/v1alpha1",
        "kind": "OptimizationJob",
        "metadata": {"name": NAME, "namespace": "ns", "uid": "uid-1"},
        "spec": base | spec,
        "status": {"attempt": {"number": 1, "podUID": POD_UID}},
    }


class EventTermination:
    """SIGTERM for a reporter in a thread."""

    def __init__(self) -> None:
        self._event = threading.Event()

    @property
    def asked(self) -> bool:
        return self._event.is_set()

    def ask(self) -> None:
        self._event.set()

    def wait(self, seconds: float) -> bool:
        if self.asked:
            threading.Event().wait(min(seconds, 0.02))
        return self._event.wait(seconds)


@dataclass
class ReporterPod:
    root: Path
    api: AttemptApi
    pod_uid: str = POD_UID
    attempt: int = 1
    environ: dict[str, str] = field(default_factory=dict)
    options: list[str] = field(default_factory=list)
    port: str = "1"
    store_root: Path | None = None
    _started: "list[subprocess.Popen[bytes]]" = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        for folder in (self.inputs, self.out, self.refs, self.token):
            folder.mkdir(parents=True, exist_ok=True)
        (self.token / "token").write_text(TOKEN)

    @property
    def inputs(self) -> Path:
        return self.root / "in"

    @property
    def out(self) -> Path:
        return self.root / "out"

    @property
    def refs(self) -> Path:
        return self.root / "refs"

    @property
    def token(self) -> Path:
        return self.root / "token"

    @property
    def stores(self) -> Path:
        return self.store_root or self.root / "store"

    @property
    def job_url(self) -> str:
        return f"file://{self.stores}/ns/jobs/{JOB_ID}"

    @property
    def artifact_url(self) -> str:
        return f"file://{self.stores}/ns/artifacts/{JOB_ID}"

    @property
    def store(self) -> Store:
        return open_store(self.job_url)

    @property
    def artifact(self) -> Store:
        return open_store(self.artifact_url)

    def next_attempt(self, pod_uid: str) -> "ReporterPod":
        """Another pod, with volumes of its own and the same store."""
        root = self.root.parent / f"{self.root.name}-{pod_uid}"
        return replace(self, root=root, pod_uid=pod_uid, attempt=self.attempt + 1, store_root=self.stores)

    # -- the reporter

    def command_line(self) -> list[str]:
        paths = {"--in": self.inputs, "--out": self.out, "--refs": self.refs, "--token-dir": self.token}
        words = {
            "--job-store": self.job_url,
            "--artifact-store": self.artifact_url,
            "--resource": NAME,
            "--namespace": "ns",
            "--attempt": str(self.attempt),
            "--targets": TARGETS,
            "--progress-interval": "0.05",
            "--flush-interval": "0.05",
            "--log-quota": "1000000",
        }
        return [str(word) for pair in [*paths.items(), *words.items()] for word in pair] + self.options

    def environment(self) -> dict[str, str]:
        address = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": self.port}
        return {"POD_UID": self.pod_uid, **address, **self.environ}

    def arguments(self) -> Arguments:
        return read_arguments(self.command_line(), self.environment())

    def start(self) -> "subprocess.Popen[bytes]":
        with (self.root / "reporter.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", COMMAND, *self.command_line()],
                env={"PATH": os.environ["PATH"], **self.environment()},
                stderr=log,
            )
        self._started.append(process)
        return process

    def end(self) -> None:
        """Whatever a test that failed has left running."""
        for process in self._started:
            process.kill()
            process.wait()

    @contextmanager
    def running(self) -> Iterator["ThreadedReporter"]:
        reporter = ThreadedReporter(self)
        reporter.thread.start()
        try:
            yield reporter
        finally:
            reporter.termination.ask()
            reporter.thread.join(timeout=30)
            assert not reporter.thread.is_alive()

    # -- what the optimizer writes

    def append(self, name: str, *lines: bytes) -> None:
        with (self.out / name).open("ab", buffering=0) as file:
            for line in lines:
                file.write(line + b"\n")

    def log(self, *messages: str) -> None:
        now = "2026-01-01T00:00:00.000Z"
        entries = [{"timestamp": now, "level": "INFO", "logger": "dspy", "message": text} for text in messages]
        self.append(pod_files.LOGS, *map(orjson.dumps, entries))

    def event(self, name: str, **metrics: Any) -> None:
        entry = {"timestamp": "2026-01-01T00:00:00.000Z", "event": name, "metrics": metrics}
        self.append(pod_files.EVENTS, orjson.dumps(entry))

    def call(self, key: str) -> None:
        self.append(pod_files.CALLS, orjson.dumps({"key": key, "value": {"text": key}}))

    def candidate(self, **fields: Any) -> None:
        told = {"parents": [], "at_call": 3, "score": 50.0, "rows": 6, "accepted": True, "changes": {}}
        self.append(pod_files.CANDIDATES, orjson.dumps(told | fields))

    def replace(self, name: str, document: Any) -> None:
        temporary = self.out / f".{name}.tmp"
        temporary.write_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())
        temporary.rename(self.out / name)

    def progress(self, stage: str = "Running", **fields: Any) -> None:
        started = None if stage == "Validating" else "2026-01-01T00:00:01.000Z"
        self.replace(pod_files.PROGRESS, {"stage": stage, "startedAt": started, **fields})

    def program(self, **files: bytes) -> None:
        content = {
            "program.json": b'{"predict": {}}',
            "program.pkl": b"\x80\x04pickle",
            "prompt.md": b"# Prompt",
            "metadata.json": b'{"a": 1}',
        }
        folder = self.out / pod_files.ARTIFACT
        folder.mkdir(exist_ok=True)
        for name, data in (content | {key.replace("__", "."): value for key, value in files.items()}).items():
            (folder / name).write_bytes(data)

    def result(self, outcome: str = "Succeeded", **fields: Any) -> None:
        self.replace(pod_files.RESULT, {"outcome": outcome, "reason": "Done", "message": "ok", **fields})

    # -- what is there afterwards

    def ready(self) -> bool:
        return (self.inputs / pod_files.READY).exists()

    def wait_ready(self) -> None:
        wait_for(self.ready, what="ready")

    def wait_result(self) -> dict[str, Any]:
        return wait_for(lambda: self.api.result, what="a result in the status")

    def entries(self, name: str) -> list[dict[str, Any]]:
        return [orjson.loads(line) for _, line in stream(self.store, name)]

    def messages(self) -> list[str]:
        return [entry["message"] for entry in self.entries("logs")]

    def job(self) -> dict[str, Any]:
        return dict(json.loads((self.inputs / pod_files.JOB).read_text()))


class ThreadedReporter:
    def __init__(self, pod: ReporterPod) -> None:
        self.pod = pod
        self.termination = EventTermination()
        self.ending: str | None = None
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name="reporter", daemon=True)

    def end(self) -> str:
        """How it ended after SIGTERM."""
        self.termination.ask()
        self.thread.join(timeout=30)
        if self.failure:
            raise self.failure
        assert self.ending is not None
        return self.ending

    def ended(self) -> bool:
        return not self.thread.is_alive()

    def _run(self) -> None:
        pod, arguments = self.pod, self.pod.arguments()
        client = httpx.Client(transport=pod.api.transport(), base_url="https://cluster")
        own = OwnResource(client, pod.token / "token", "ns", NAME, pod.pod_uid)
        patience = Patience(self.termination, arguments.grace_period)
        try:
            Attempt(arguments, own, Redactor(secrets_of(pod.environ)), patience).run()
            self.ending = "done"
        except Fenced:
            self.ending = "fenced"
        except GaveUp:
            self.ending = "gave up"
        except BaseException as failure:
            self.failure = failure


def terminate(process: "subprocess.Popen[bytes]", timeout: float = 30) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(timeout=timeout)
