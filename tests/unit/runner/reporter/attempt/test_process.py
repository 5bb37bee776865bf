"""The real process on a file:// store, over TLS: killed, ended, starved, measured."""

import hashlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from attempt_api import POD_UID, AttemptApi
from dspy_service_runner.reporter.attempt.timetable import LONGEST_LOOK
from reporter_pod import COMMAND, ReporterPod, make_resource, terminate
from waiting import wait_for

KEY = "sk-canary-0123456789"
LIMIT_KB = 40 * 1024


@pytest.fixture
def api() -> AttemptApi:
    return AttemptApi(make_resource())


@pytest.fixture
def pod(tmp_path: Path, api: AttemptApi) -> Iterator[ReporterPod]:
    made = ReporterPod(tmp_path / "pod", api)
    with api.served(made.token) as port:
        made.port = port
        yield made
        made.end()


class Optimizer:
    """Writes on, whatever becomes of the reporter."""

    def __init__(self, pod: ReporterPod) -> None:
        self.pod, self.count = pod, 0

    def work(self, lines: int = 40) -> None:
        first, self.count = self.count, self.count + lines
        self.pod.log(*(f"line {n}" for n in range(first, self.count)))
        for n in range(first, self.count, 5):
            self.pod.event("e", last=n)
            self.pod.call(f"k{n}")

    def check(self) -> None:
        assert self.pod.messages() == [f"line {n}" for n in range(self.count)]
        fives = list(range(0, self.count, 5))
        assert [entry["metrics"]["last"] for entry in self.pod.entries("events")] == fives
        assert [entry["key"] for entry in self.pod.entries("calls")] == [f"k{n}" for n in fives]


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment_it_goes_on(pod: ReporterPod, api: AttemptApi, seed: int) -> None:
    chance = random.Random(seed)
    optimizer = Optimizer(pod)
    for _ in range(6):
        process = pod.start()
        moment = time.monotonic() + chance.uniform(0.05, 0.6)
        wait_for(lambda moment=moment: optimizer.work() or time.monotonic() > moment, interval=0.01)
        process.kill()
        process.wait()
    process = pod.start()
    optimizer.work()
    pod.program()
    pod.result(optimizedScore=1)
    assert pod.wait_result()["outcome"] == "Succeeded"
    assert terminate(process) == 0
    optimizer.check()
    assert api.run["logs"]["count"] == optimizer.count
    assert api.run["metrics"] == {"last": optimizer.count - 5}


@pytest.mark.parametrize("moment", ["result.json", "manifest.json", "patch"])
def test_killed_while_it_hands_over(pod: ReporterPod, api: AttemptApi, moment: str) -> None:
    optimizer = Optimizer(pod)
    optimizer.work()
    process = pod.start()
    pod.wait_ready()
    pod.program()
    pod.result()
    seen = {
        "result.json": lambda: pod.store.exists("result.json"),
        "manifest.json": lambda: pod.artifact.exists("manifest.json"),
        "patch": lambda: api.result is not None,
    }
    wait_for(seen[moment], interval=0.0005, what=moment)
    process.kill()
    process.wait()
    asked = api.gets
    process = pod.start()
    wait_for(lambda: api.gets > asked, what="the successor to begin")
    assert pod.wait_result()["outcome"] == "Succeeded"
    assert terminate(process) == 0
    optimizer.check()


def test_started_only_to_drain(pod: ReporterPod, api: AttemptApi) -> None:
    """As a node does after its own death: the signal is sent before the process can be ready for it."""
    optimizer = Optimizer(pod)
    process = pod.start()
    pod.wait_ready()
    process.kill()
    process.wait()
    optimizer.work(1000)
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        process = pod.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)
    assert terminate(process) == 0
    optimizer.check()
    assert api.run["logs"]["count"] == 1000


def test_sigterm_ends_it_soon_and_well(pod: ReporterPod) -> None:
    pod.options = ["--flush-interval", "60", "--progress-interval", "60"]
    optimizer = Optimizer(pod)
    process = pod.start()
    pod.wait_ready()
    optimizer.work(2000)
    assert terminate(process, timeout=10) == 0
    optimizer.check()


def test_sigterm_before_its_turn(pod: ReporterPod, api: AttemptApi) -> None:
    api.record("another")
    process = pod.start()
    wait_for(lambda: api.gets > 0, what="a first question")
    assert terminate(process, timeout=10) == 0
    assert not pod.ready()


def test_a_store_that_never_comes_back_is_an_error(pod: ReporterPod, api: AttemptApi) -> None:
    pod.options = ["--grace-period", "0.5"]
    process = pod.start()
    pod.wait_ready()
    (pod.stores / "ns" / "jobs" / pod.job_url.rpartition("/")[2] / "logs").write_bytes(b"")
    pod.log("one")
    pod.result()
    wait_for(lambda: "trying again" in api.run.get("message", ""), what="the trouble in the status")
    assert terminate(process, timeout=10) == 1
    assert "grace period" in (pod.root / "reporter.log").read_text()


def test_an_api_server_that_comes_back(pod: ReporterPod, api: AttemptApi) -> None:
    process = pod.start()
    pod.wait_ready()
    api.down = True
    pod.log("one")
    pod.result()
    wait_for(lambda: pod.store.exists("result.json"), what="the result in the store")
    api.down = False
    pod.wait_result()
    assert terminate(process) == 0


def test_a_full_disk(tmp_path: Path, pod: ReporterPod, api: AttemptApi) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("no small disk can be made here")
    try:
        pod.store_root = disk
        process = pod.start()
        pod.wait_ready()
        filler = disk / "filler"
        filler.write_bytes(b"x" * 400_000)  # without it there is room for two: a segment is written beside the older
        pod.log(*("x" * 1000 for _ in range(200)))
        wait_for(lambda: "No space left" in api.run.get("message", ""), what="the full disk in the status")
        filler.unlink()
        pod.log("end")
        wait_for(lambda: pod.messages()[-1:] == ["end"], what="the last line")
        pod.result()
        pod.wait_result()
        assert terminate(process) == 0
        assert len(pod.messages()) == 201
    finally:
        subprocess.run(["umount", disk], check=True)


def test_keys_are_neither_printed_nor_on_the_command_line(pod: ReporterPod, api: AttemptApi) -> None:
    pod.environ = {"DSPY_SERVICE_KEY_DEFAULT": KEY, "AWS_SECRET_ACCESS_KEY": KEY}
    process = pod.start()
    pod.wait_ready()
    api.down = True
    pod.log(KEY)
    wait_for(lambda: pod.messages() == ["[redacted]"], what="the line")
    assert KEY.encode() not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
    api.down = False
    terminate(process)
    assert KEY not in (pod.root / "reporter.log").read_text()


def test_being_stopped_for_a_while_is_not_being_asked_to_end(pod: ReporterPod) -> None:
    process = pod.start()
    pod.wait_ready()
    process.send_signal(signal.SIGSTOP)
    time.sleep(2 * LONGEST_LOOK)  # every wait that it may be in is over by then
    process.send_signal(signal.SIGCONT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=2)
    terminate(process)


def memory_kb(pid: int, name: str = "VmRSS") -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def test_it_stays_small(pod: ReporterPod, api: AttemptApi) -> None:
    pod.options = ["--log-quota", "100000000"]
    process = pod.start()
    pod.wait_ready()
    pod.progress()
    process.send_signal(signal.SIGSTOP)  # all of it lies there at once then
    for _ in range(10):
        pod.log(*("x" * 200 for _ in range(5000)))
        pod.event("e", a=1)
        pod.call("k")
    process.send_signal(signal.SIGCONT)
    wait_for(lambda: api.run.get("logs", {}).get("count") == 50_000, what="the lines")
    pod.program()
    pod.result()
    pod.wait_result()
    assert memory_kb(process.pid) < LIMIT_KB
    terminate(process)


def test_it_stays_small_with_a_large_payload(pod: ReporterPod, api: AttemptApi) -> None:
    rows = [{"text": f"{n} " + "some words of a ticket " * 10, "label": "a"} for n in range(60_000)]
    content = orjson.dumps({"rows": rows, "signature": "class S", "metric": "def m"})
    pod.store.put("payload.json", content)
    source = {"payload": {"digest": f"sha256:{hashlib.sha256(content).hexdigest()}"}}
    api.resource["spec"] |= {"signature": source, "metric": source, "dataset": source}
    process = pod.start()
    pod.wait_ready()
    assert (pod.inputs / "rows.jsonl").read_bytes().count(b"\n") == 60_000
    assert pod.job()["spec"]["metric"] == {"code": "def m"}
    assert memory_kb(process.pid, "VmHWM") < LIMIT_KB
    terminate(process)


def test_it_stays_small_with_large_files(pod: ReporterPod, api: AttemptApi) -> None:
    """Of the densest kind: one sign makes each text four times as large in memory, and all others six in JSON."""
    files = {f"f{n}.txt": "𝄞" + "\x01" * 65_500 for n in range(64)}
    content = orjson.dumps({"program": "class P", "program_files": files, "rows": [{"text": "x", "label": "a"}]})
    pod.store.put("payload.json", content)
    source = {"payload": {"digest": f"sha256:{hashlib.sha256(content).hexdigest()}"}}
    listed = [{"path": path, **source} for path in files]
    api.resource["spec"] |= {"program": {**source, "files": listed}, "dataset": source}
    process = pod.start()
    pod.wait_ready()
    assert (pod.inputs / "program_files" / "63" / "value").stat().st_size == 65_504
    assert memory_kb(process.pid, "VmHWM") < LIMIT_KB
    terminate(process)


def test_heavy_modules_are_not_imported() -> None:
    heavy = (
        *("pydantic", "rich", "click", "aiohttp", "dspy", "yaml", "asyncio", "ijson"),
        "dspy_service_core.resource.job",
    )
    code = f"import sys; import dspy_service_runner.reporter.main; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_imports_begin_no_thread() -> None:
    code = "import threading, os; import dspy_service_runner.reporter.main; print(len(os.listdir('/proc/self/task')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


def test_wrong_arguments_are_said(pod: ReporterPod) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "--in", "x"], env=pod.environment(), capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "--job-store" in done.stderr
    assert POD_UID not in done.stderr
