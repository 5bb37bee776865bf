"""A store that fills up or goes away: jobs say so, nothing half-written is served, and all goes on when it is back."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from payloads import METRIC, payload
from scripted_lm import ScriptedServer
from waiting import wait_for
from whole_jobs import ended, job, numbered, reached, submit
from whole_service import Service, service

pytestmark = pytest.mark.faults

STORE = Path("volumes", "default", "dspy-service-store")
CHATTY = "def metric(gold, pred, trace=None):\n    print('x' * 2000)\n" + METRIC.split("\n", 1)[1].format(output="team")


@pytest.fixture
def small_store(tmp_path: Path) -> Iterator[Path]:
    """A data folder whose store is a file system of 4 MB of its own."""
    store = tmp_path / "data" / STORE
    store.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(store)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs privileges")
    yield tmp_path / "data"
    subprocess.run(["umount", "-l", str(store)], check=True)


@contextmanager
def full(store: Path) -> Iterator[None]:
    filler = store / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
    yield
    filler.unlink()


@contextmanager
def away(store: Path) -> Iterator[None]:
    """As when a volume is gone: permissions would not keep root out, a file in its place does."""
    store.rename(store.with_suffix(".away"))
    store.touch()
    yield
    store.unlink()
    store.with_suffix(".away").rename(store)


@contextmanager
def read_only(store: Path) -> Iterator[None]:
    """For the pod too, which holds a mount of its own of the job's folder: a rename would not be seen there."""

    def remounted(how: str) -> bool:  # busy as long as somebody writes
        return subprocess.run(["mount", "-o", f"remount,{how}", str(store)], capture_output=True).returncode == 0

    wait_for(lambda: remounted("ro"), what="the store to become read-only")
    yield
    wait_for(lambda: remounted("rw"), what="the store to become writable")


def test_a_full_store_is_said_and_waited_for(model: ScriptedServer, small_store: Path) -> None:
    with service(data_dir=small_store) as running:
        model.hold_from(10)
        job_id = submit(running.http, payload(60, model.url, metric_code=CHATTY))
        reached(running.http, job_id, {"running"})
        with full(small_store / STORE):
            model.release()
            said = wait_for(lambda: _trouble(running, job_id), timeout=60, what="the job to say that its store is full")
            assert "space" in said.lower(), said
            assert job(running.http, job_id)["message"] == said
            served = running.http.get(f"/jobs/{job_id}/artifact")
            assert served.status_code in (404, 409, 503), served.text
            refused = running.http.post("/run", content=payload(200, model.url), timeout=30)
            assert refused.status_code == 503, refused.text
            assert refused.headers["retry-after"]
        answer = ended(running.http, job_id)
        assert answer["status"] == "success", answer["message"]
        entries = numbered(running.http, job_id, "logs")
        assert [entry["n"] for entry in entries] == list(range(1, len(entries) + 1))
        assert job(running.http, job_id, "/artifact")["program_artifact"]["program_pickle_base64"]
        assert ended(running.http, submit(running.http, payload(200, model.url)))["status"] == "success"


def test_a_store_that_is_away_is_said_and_back_again(model: ScriptedServer, tmp_path: Path) -> None:
    model.latency = 0.0
    with service(data_dir=tmp_path) as running:
        before = ended(running.http, job_id := submit(running.http, payload(12, model.url)))
        assert before["status"] == "success"
        listed = _count(running)
        with away(tmp_path / STORE):
            for part in ("", "/logs", "/events", "/artifact"):
                answer = running.http.get(f"/jobs/{job_id}{part}")
                assert answer.status_code in (200, 503), answer.text
                assert answer.status_code == 503 or _whole(answer.json(), before, part)
            refused = running.http.post("/run", content=payload(200, model.url), timeout=30)
            assert (refused.status_code, bool(refused.headers.get("retry-after"))) == (503, True), refused.text
            assert _count(running) == listed, "nothing is stored of what was refused"
        assert job(running.http, job_id) == before
        assert ended(running.http, submit(running.http, payload(200, model.url)))["status"] == "success"


def test_a_running_job_says_that_its_store_takes_nothing_until_it_does(
    model: ScriptedServer, small_store: Path
) -> None:
    with service(data_dir=small_store) as running:
        model.hold_from(10)
        job_id = submit(running.http, payload(60, model.url, metric_code=CHATTY))
        reached(running.http, job_id, {"running"})
        with read_only(small_store / STORE):
            model.release()  # to have something to say
            model.hold_from(40)
            said = wait_for(lambda: _trouble(running, job_id), timeout=60, what="the job to say what its store does")
            assert job(running.http, job_id)["message"] == said
        wait_for(lambda: not _trouble(running, job_id), timeout=60, what="the job to say again what it does")
        model.release()
        answer = ended(running.http, job_id)
        assert answer["status"] == "success", answer["message"]
        entries = numbered(running.http, job_id, "logs")
        assert [entry["n"] for entry in entries] == list(range(1, len(entries) + 1))


def _whole(answer: Any, before: Any, part: str) -> bool:
    parts: dict[str, Callable[[], bool]] = {
        "": lambda: answer == before,
        "/logs": lambda: answer == before["logs"],
        "/events": lambda: answer == before["progress_events"],
        "/artifact": lambda: answer["program_artifact"] == before["result"]["program_artifact"],
    }
    return parts[part]()


def _count(running: Service) -> int:
    return len(running.http.get("/jobs?limit=500").json()["jobs"])


def _trouble(running: Service, job_id: str) -> str:
    """What clients are told of a running job's store."""
    summary = job(running.http, job_id, "/summary")
    assert summary["status"] == "running", summary
    return str(summary["message"]) if "trying again" in summary["message"] else ""
