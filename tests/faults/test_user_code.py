"""Code of a job may do anything: it ends its own job alone, within its limits, and the first line says why."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from live_files import files_below
from payloads import payload, rows
from scripted_lm import ScriptedServer
from waiting import wait_for
from whole_jobs import ended, job, numbered, submit
from whole_service import Service, service

pytestmark = pytest.mark.faults

MIB = 2**20
LOG_QUOTA = 1_000_000
STORE = Path("volumes", "default", "dspy-service-store", "default")
LIMITS = {
    "DSPY_SERVICE_RUNNER_LIMITS": '{"memory": "800Mi"}',
    "DSPY_SERVICE_LOG_QUOTA_BYTES": str(LOG_QUOTA),
    "DSPY_SERVICE_OUT_SIZE_LIMIT": "64Mi",
    "DSPY_SERVICE_TMP_SIZE_LIMIT": "64Mi",
    "DSPY_SERVICE_POD_PROCESSES": "100",
}
"""Small, so that code meets them soon."""

METRIC = """
import os, signal, sys, time
def metric(gold, pred, trace=None):
{body}
    return gold.team == pred.team
"""


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedServer]:
    with ScriptedServer(rows(60), label="team") as server:
        yield server


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service("--concurrency", "3", data_dir=tmp_path_factory.mktemp("limited"), env=LIMITS) as started:
        yield started


def metric(body: str) -> str:
    return METRIC.format(body="\n".join("    " + line for line in body.splitlines()))


def body(model: ScriptedServer, code: str, **options: Any) -> bytes:
    return payload(12, model.url, metric_code=metric(code), run_options={"retries": 0, **options})


def beside_another(running: Service, model: ScriptedServer, code: str, **options: Any) -> Any:
    """The answer of a job with this code in its metric; a job beside it has succeeded meanwhile."""
    neighbour = submit(running.http, payload(12, model.url))
    answer = ended(running.http, submit(running.http, body(model, code, **options)))
    assert ended(running.http, neighbour)["status"] == "success"
    return answer


@pytest.mark.parametrize(
    ("code", "options", "said"),
    [
        pytest.param("time.sleep(3600)", {"deadline_seconds": 5}, "deadline of 5 s", id="hangs"),
        pytest.param("while True: pass", {"deadline_seconds": 5}, "deadline of 5 s", id="spins"),
        pytest.param("while True:\n    try: os.fork()\n    except OSError: pass", {}, "100", id="fork bomb"),
        pytest.param("held = bytearray(os.urandom(1 << 20)) * 1500", {}, "800Mi", id="memory"),
        pytest.param("os._exit(7)", {}, "exit code 7", id="os._exit"),
        pytest.param("os._exit(0)", {}, "exit code 0", id="os._exit(0)"),
        pytest.param("sys.exit(3)", {}, "sys.exit|SystemExit", id="sys.exit"),
        pytest.param("os.killpg(0, signal.SIGKILL)", {}, "SIGKILL", id="kills its group"),
    ],
)  # fmt: skip
def test_it_fails_with_its_reason_first(
    running: Service, model: ScriptedServer, code: str, options: dict[str, Any], said: str
) -> None:
    answer = beside_another(running, model, code, **options)
    assert answer["status"] == "failed"
    assert re.search(said, answer["message"].splitlines()[0]), answer["message"]


@pytest.mark.parametrize("place", ["os.environ['HOME']", "sys.argv[sys.argv.index('--out') + 1]"], ids=["tmp", "out"])
@pytest.mark.parametrize(
    ("files", "said"),
    [
        ("much", "64Mi|File too large .*at most [0-9]+ bytes"),
        ("{n // 32}", 'volume "(tmp|out)" exceeds the limit "64Mi"'),
    ],
    ids=["one file", "many files"],
)
def test_ten_gigabytes_are_not_written(
    running: Service, model: ScriptedServer, place: str, files: str, said: str
) -> None:
    code = (
        "for n in range(10_000):\n"
        f"    with open({place} + f'/{files}', 'ab') as file: file.write(bytes(1 << 20))\n"
        "    time.sleep(0.02)"
    )
    answer = ended(running.http, submit(running.http, body(model, code)))
    assert answer["status"] == "failed"
    assert re.search(said, answer["message"].splitlines()[0]), answer["message"]
    wait_for(lambda: _bytes_below(running.data_dir) < 200 * MIB, what="the folder to shrink again")


def test_closing_the_output_costs_the_output_alone(running: Service, model: ScriptedServer) -> None:
    once = "if not vars(sys).setdefault('closed', []):\n    sys.closed.append(1)\n"  # later they are somebody's sockets
    once += "    os.close(1); os.close(2); sys.stdout.close(); sys.stderr.close()"
    answer = beside_another(running, model, once)
    assert answer["status"] == "success", answer["message"]
    assert answer["logs"]


def test_ten_million_lines_end_with_the_right_result_and_a_marker(running: Service, model: ScriptedServer) -> None:
    flood = "if not vars(sys).setdefault('flooded', []):\n    sys.flooded.append(1)\n"
    flood += "    for n in range(10_000_000): print('line', n)"
    quiet = ended(running.http, submit(running.http, body(model, "pass")))
    job_id = submit(running.http, body(model, flood))

    def over() -> bool:
        answer = running.http.get(f"/jobs/{job_id}/summary", timeout=5)  # httpx's default: who asks gives up then
        return answer.raise_for_status().json()["status"] in ("success", "failed")

    wait_for(over, timeout=200, interval=0.1, what="the flood to end")
    answer = job(running.http, job_id)
    assert answer["status"] == "success", answer["message"]
    for name in ("baseline_test_metric", "optimized_test_metric", "split_counts"):
        assert answer["result"][name] == quiet["result"][name]
    assert answer["result"]["program_artifact"]["program_pickle_base64"]
    entries = numbered(running.http, job_id, "logs")
    assert [entry["n"] for entry in entries] == list(range(1, len(entries) + 1))
    lines = [entry["message"] for entry in entries if entry["message"].startswith("line ")]
    assert lines == [f"line {n}" for n in range(len(lines))], "what is kept is the beginning, whole and in order"
    markers = [entry["message"] for entry in entries if "quota" in entry["message"]]
    assert markers, entries[-3:]
    assert all(str(LOG_QUOTA) in marker for marker in markers), markers
    assert _bytes_below(running.data_dir / STORE / "jobs" / job_id / "logs") < 2 * LOG_QUOTA
    assert _bytes_below(running.data_dir / STORE) < 20 * LOG_QUOTA


def test_a_daemon_ends_with_its_job(running: Service, model: ScriptedServer) -> None:
    daemon = (
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        os.execv(sys.executable, [sys.executable, '-c', 'import time; time.sleep(3600)', 'left-behind'])\n"
        "    os._exit(0)"
    )
    answer = beside_another(running, model, daemon)
    assert answer["status"] == "success", answer["message"]
    wait_for(lambda: not _commands_with("left-behind"), what="the daemons to be gone")


def _bytes_below(folder: Path) -> int:
    def size(path: Path) -> int:
        try:
            return path.lstat().st_blocks * 512
        except OSError:
            return 0

    return sum(size(path) for path in files_below(folder))


def _commands_with(word: str) -> list[psutil.Process]:
    return [process for process in psutil.process_iter(["cmdline"]) if word in (process.info["cmdline"] or [])]
