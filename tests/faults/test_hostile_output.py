"""Code of a job may put anything into its output folder and look anywhere: it gains nothing, breaks nobody."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from live_files import content, files_below
from payloads import METRIC, payload, rows
from sandboxed import need_sandbox
from scripted_lm import ScriptedServer
from whole_jobs import ended, job, submit
from whole_service import Service, service

pytestmark = pytest.mark.faults

SECRET = "outside-7f3a91"
DEADLINE = 100
FOREIGN = "foreign-variable-51c2"

HOSTILE = """
import contextlib, os, socket, stat, sys
OUT = sys.argv[sys.argv.index("--out") + 1]
OUTSIDE = {outside!r}
def replace(name, make):
    path = os.path.join(OUT, name)
    with contextlib.suppress(OSError):
        os.makedirs(os.path.dirname(path), exist_ok=True)
    with contextlib.suppress(OSError):
        os.unlink(path)
    with contextlib.suppress(OSError):
        make(path)
def unix_socket(path):
    os.chdir(os.path.dirname(path))
    socket.socket(socket.AF_UNIX).bind(os.path.basename(path))
def text(content):
    return lambda path: open(path, "wb").write(content)
def hostile():
{code}
"""

CASES = {
    "links": """
    names = "events.jsonl calls.jsonl progress.json checkpoint/state artifact/program.json result.json"
    for name in names.split():
        replace(name, lambda path: os.symlink(OUTSIDE, path))
    replace("checkpoint/folder", lambda path: os.symlink(os.path.dirname(OUTSIDE), path))""",
    "hard links": """
    for name in ("progress.json", "checkpoint/state", "artifact/metadata.json"):
        replace(name, lambda path: os.link(OUTSIDE, path))""",
    "fifos": """
    names = "logs.jsonl events.jsonl calls.jsonl progress.json checkpoint/state checkpoint/best.json"
    names += " .reserve .progress.json.tmp .result.json.tmp .checkpoint-best.json.tmp result.json"
    names += " artifact/prompt.md artifact/program.pkl artifact/program.json"
    for name in names.split():
        replace(name, os.mkfifo)""",
    "fifos in the place of closed files": """
    for name in ("logs.jsonl", "events.jsonl", "calls.jsonl"):
        replace(name, os.mkfifo)
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if OUT in os.readlink("/proc/self/fd/" + name):
                os.close(int(name))""",
    "devices": """
    for name in ("progress.json", "checkpoint/state", "events.jsonl"):
        replace(name, lambda path: os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5)))""",
    "sockets": """
    for name in ("progress.json", "checkpoint/state", "calls.jsonl"):
        replace(name, unix_socket)""",
    "huge files": """
    replace("progress.json", text(b" " * 30_000_000))
    replace("checkpoint/state", text(b" " * 90_000_000))
    replace("events.jsonl", text(b"x" * 30_000_000))""",
    "malformed files": """
    replace("progress.json", text(b"[" * 200_000))
    replace("events.jsonl", text(b'\\xff\\xfe{\\n{"event": 1}\\n{"event": "x", "metrics": NaN}\\n[]\\n'))
    replace("calls.jsonl", text(b'\\x00\\n{"a": ' + b"[" * 50_000 + b'\\n'))
    replace("checkpoint/" + "n" * 200, text(b""))""",
}  # fmt: skip


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedServer]:
    with ScriptedServer(rows(60), label="team") as server:
        yield server


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    env = {"SOME_VARIABLE": FOREIGN, "AWS_SECRET_ACCESS_KEY": FOREIGN}
    with service("--concurrency", "3", data_dir=tmp_path_factory.mktemp("hostile"), env=env) as started:
        yield started


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    path = tmp_path / "outside.json"
    path.write_text(orjson.dumps({"stage": SECRET, "event": SECRET, "message": SECRET}).decode() + "\n")
    return path


def hostile_metric(case: str, outside: Path) -> str:
    code = HOSTILE.format(outside=str(outside), code=CASES[case])
    return code + METRIC.format(output="team").replace("trace=None):\n", "trace=None):\n    hostile()\n")


@pytest.mark.parametrize("case", CASES)
def test_it_gains_nothing_and_breaks_nobody(running: Service, model: ScriptedServer, outside: Path, case: str) -> None:
    neighbour = submit(running.http, payload(12, model.url))
    options = {"deadline_seconds": DEADLINE, "retries": 0}
    code = hostile_metric(case, outside)
    job_id = submit(running.http, payload(12, model.url, metric_code=code, run_options=options))
    answer = ended(running.http, job_id)
    assert answer["status"] in ("success", "failed")
    assert answer["message"].strip()
    assert "deadline" not in answer["message"], "something held it"
    if answer["status"] == "failed":
        assert not answer["result"]["program_artifact"]
    assert ended(running.http, neighbour)["status"] == "success"
    for part in ("", "/summary", "/logs", "/events", "/logs?after=0", "/events?after=0", "/artifact"):
        response = running.http.get(f"/jobs/{job_id}{part}")
        assert response.status_code < 500
        assert SECRET not in response.text
    assert outside.read_text().count(SECRET) == 3
    assert not _files_with(running.data_dir / "volumes", SECRET, job_id)


STEERING = "\x1b]52;c;AAAA\x07\x1b[2J\x9b31m\u202e"
FORGED = "\n2026-01-01 00:00:00 ERROR   forged: line"
WRONG_FIGURES = {
    "baseline_test_metric": "DROP",
    "optimized_test_metric": {"a": 1},
    "best_score": "DROP",
    "tqdm_n": STEERING,
    "tqdm_total": [1],
    "tqdm_percent": True,
}
LINES = {
    "events.jsonl": {"timestamp": "9999-99-99T00:00:00Z", "event": f"e{STEERING}{FORGED}", "metrics": WRONG_FIGURES},
    "logs.jsonl": {
        "timestamp": "9999-99-99T00:00:00Z",
        "level": STEERING,
        "logger": f"[red]{FORGED}",
        "message": f"said{STEERING}{FORGED}",
    },
}
SAYING = """
import os, sys
OUT = sys.argv[sys.argv.index("--out") + 1]
SAID = []
def say():
    for name, line in {lines!r}.items():
        with open(os.path.join(OUT, name), "ab") as file:
            file.write(line + b"\\n")
"""


def test_what_it_says_ends_nobodys_list_and_steers_nobodys_terminal(running: Service, model: ScriptedServer) -> None:
    code = SAYING.format(lines={name: orjson.dumps(line) for name, line in LINES.items()})
    code += METRIC.format(output="team").replace("trace=None):\n", "trace=None):\n    SAID or SAID.append(say())\n")
    job_ids = [submit(running.http, payload(12, model.url, **more)) for more in ({}, {"metric_code": code}, {})]
    assert {ended(running.http, job_id)["status"] for job_id in job_ids} == {"success"}
    listed = commanded(running, "list")
    assert set(job_ids) <= {line.split("\t")[0] for line in listed.splitlines()}
    assert json.loads(commanded(running, "list", "--output", "json"))
    assert "success" in commanded(running, "watch", job_ids[1])
    assert r"said\x1b]52;c;AAAA\x07" in commanded(running, "logs", job_ids[1])
    latest = job(running.http, job_ids[1], "/summary")["latest_metrics"]
    assert all(isinstance(latest[name], int | float) for name in ("baseline_test_metric", "optimized_test_metric"))
    for entry in (*job(running.http, job_ids[1], "/logs"), *job(running.http, job_ids[1], "/events")):
        assert datetime.fromisoformat(entry["timestamp"]).year < 9999


def commanded(running: Service, *args: str) -> str:
    command = [str(Path(sys.executable).parent / "dspy-service"), "--url", running.url, *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(done.stdout + done.stderr)
    assert "\n2026-01-01 00:00:00 ERROR   forged" not in done.stdout
    return done.stdout


PROBES = """
import os, pathlib, sys
PLACES = {places!r}
def reads(path):
    try:
        return sorted(os.listdir(path)) if os.path.isdir(path) else open(path, errors="replace").read(100_000)
    except OSError:
        return None
def writes(path):
    try:
        open(path, "w").close()
    except OSError:
        return None
    return path
print("READ", {{name: reads(path) for name, path in PLACES.items() if reads(path)}})
folders = ["/", "/usr", "/etc", "/job", "/job/in", "/dev", sys.prefix, os.path.dirname(os.__file__)]
print("WRITTEN", [path for path in (writes(os.path.join(f, "probe")) for f in folders) if path])
print("TOKENS", [str(p) for p in pathlib.Path("/").glob("var/run/secrets/**/token")])
print("ENVIRONMENT", sorted(os.environ), [n for n, v in os.environ.items() if {foreign!r} in v])
environs = [reads("/proc/" + p + "/environ") or "" for p in os.listdir("/proc") if p.isdigit()]
print("PARENTS", [e for e in environs if {foreign!r} in e or "SOME_VARIABLE" in e])
print("PIDS", [p for p in os.listdir("/proc") if p.isdigit() and int(p) > 1000])
"""


@pytest.fixture(scope="module")
def probed(running: Service, model: ScriptedServer) -> dict[str, str]:
    """What the code of one job found, by the word that its line begins with."""
    need_sandbox()
    other = submit(running.http, payload(12, model.url))
    ended(running.http, other)
    data = running.data_dir
    places = {
        "kubeconfig": data / "kubeconfig",
        "database": data / "cluster.db",
        "keys": data / "pki",
        "pods": data / "pods",
        "volumes": data / "volumes",
        "logs": data / "logs",
        "home": Path.home() / ".ssh",
    }
    code = PROBES.format(places={name: str(path) for name, path in places.items()}, foreign=FOREIGN)
    job_id = submit(running.http, payload(12, model.url, metric_code=code + METRIC.format(output="team")))
    answer = ended(running.http, job_id)
    assert answer["status"] == "success", answer["message"]
    messages = [entry["message"] for entry in job(running.http, job_id, "/logs")]
    found = [re.match(r"([A-Z]+) (.*)", message) for message in messages]
    return {match[1]: match[2] for match in found if match}


@pytest.mark.parametrize(
    ("word", "expected"), [("READ", "{}"), ("WRITTEN", "[]"), ("TOKENS", "[]"), ("PIDS", "[]"), ("PARENTS", "[]")]
)
def test_a_job_sees_and_changes_nothing_of_others(probed: dict[str, str], word: str, expected: str) -> None:
    assert probed[word] == expected


def test_a_job_has_no_foreign_variables(probed: dict[str, str]) -> None:
    assert probed["ENVIRONMENT"].endswith("] []")
    assert "SOME_VARIABLE" not in probed["ENVIRONMENT"]
    assert "AWS_SECRET" not in probed["ENVIRONMENT"]


def _files_with(folder: Path, word: str, job_id: str) -> list[Any]:
    """Files of the store that hold the word, but for the code that the job itself came with."""
    found = [path for path in files_below(folder) if word.encode() in content(path)]
    return [path for path in found if path.name != "payload.json"]
