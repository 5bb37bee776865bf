"""Any process may die at any moment of a job: the job ends right, its story is whole, no answer is paid twice."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from killing import kill, kill_container, waiting
from living import alive
from payloads import payload
from scripted_lm import ScriptedServer
from waiting import wait_for
from whole_jobs import ended, job, numbered, reached, submit
from whole_service import service

pytestmark = pytest.mark.faults

ROWS = 60
THREADS = 8
"""Model calls in flight at most: what a kill may cost."""


def body(model: ScriptedServer, **changes: Any) -> bytes:
    """Long enough to be killed half-way: some 100 calls at 50 ms, 8 at once."""
    optimizer = {
        "optimizer_name": "dspy.BootstrapFewShotWithRandomSearch",
        "optimizer_kwargs": {"num_candidate_programs": 3, "max_bootstrapped_demos": 2, "max_labeled_demos": 2},
        "split_fractions": {"train": 0.3, "val": 0.4, "test": 0.3},
        "run_options": {"threads": THREADS},
    }
    return payload(ROWS, model.url, **(optimizer | changes))


@pytest.fixture
def undisturbed(model: ScriptedServer, tmp_path: Path) -> int:
    """Model calls of the same job when nobody kills anything."""
    with service(data_dir=tmp_path / "calm") as calm:
        assert ended(calm.http, submit(calm.http, body(model)))["status"] == "success"
    calls = model.stats.calls
    model.reset()
    return calls


def told_once_and_in_order(http: httpx.Client, job_id: str) -> None:
    for part in ("logs", "events", "candidates"):
        entries = numbered(http, job_id, part)
        assert [entry["n"] for entry in entries] == list(range(1, len(entries) + 1))
    baselines = [e for e in numbered(http, job_id, "events") if e["event"] == "baseline_evaluated"]
    assert 1 <= len(baselines) <= 2, "at most once an attempt"


def half_way(http: httpx.Client, model: ScriptedServer, calls: int) -> str:
    """A job that has its answers to so many calls, and waits for the next ones until they are released."""
    model.hold_from(calls + 1)
    job_id = submit(http, body(model))
    reached(http, job_id, {"running"})
    wait_for(lambda: model.stats.calls >= calls, timeout=60, what=f"{calls} model calls")
    return job_id


@pytest.mark.parametrize("share", [0.05, 0.4, 0.9])
def test_the_service_dies(model: ScriptedServer, tmp_path: Path, undisturbed: int, share: float) -> None:
    folder = tmp_path / "killed"
    with service(data_dir=folder) as first:
        job_id = half_way(first.http, model, int(undisturbed * share))
        first.process.kill()
        wait_for(lambda: not alive(first.process))
    model.release()
    with service(data_dir=folder) as second:
        assert ended(second.http, job_id)["status"] == "success", job(second.http, job_id)["message"]
        told_once_and_in_order(second.http, job_id)
    assert model.stats.calls <= undisturbed + THREADS


@pytest.mark.parametrize("start", ["cold", "warm"])
@pytest.mark.parametrize("part", ["optimizer", "reporter"])
def test_a_part_of_the_pod_dies(model: ScriptedServer, tmp_path: Path, undisturbed: int, part: str, start: str) -> None:
    with service("--prewarmed", "1" if start == "warm" else "0", data_dir=tmp_path / "killed") as running:
        if start == "warm":
            waiting(running, f"{part}.main")
        job_id = half_way(running.http, model, undisturbed // 2)
        kill_container(running, f"dspy-service-{part}")
        model.release()
        answer = ended(running.http, job_id)
        assert answer["status"] == "success", answer["message"]
        told_once_and_in_order(running.http, job_id)
    assert model.stats.calls <= undisturbed + THREADS


@pytest.mark.parametrize("part", ["optimizer", "reporter"])
def test_the_process_dies_that_forked_a_part_of_the_pod(
    model: ScriptedServer, tmp_path: Path, undisturbed: int, part: str
) -> None:
    with service(data_dir=tmp_path / "killed") as running:
        forked_by = waiting(running, f"{part}.main")
        job_id = half_way(running.http, model, undisturbed // 2)
        forked_by.kill()
        model.release()
        assert ended(running.http, job_id)["status"] == "success"
        told_once_and_in_order(running.http, job_id)
        assert waiting(running, f"{part}.main") != forked_by
        assert ended(running.http, submit(running.http, body(model)))["status"] == "success"
    assert model.stats.calls == 2 * undisturbed, "no attempt was repeated"


@pytest.mark.parametrize("part", ["api", "operator"])
def test_the_api_or_the_operator_dies(model: ScriptedServer, tmp_path: Path, part: str) -> None:
    with service(data_dir=tmp_path / "killed") as running:
        job_id = half_way(running.http, model, 10)
        kill(running, f"dspy-service-{part}")
        model.release()
        assert ended(running.http, job_id)["status"] == "success"
        told_once_and_in_order(running.http, job_id)


def test_an_optimizer_that_always_dies_is_given_up(model: ScriptedServer, tmp_path: Path) -> None:
    suicidal = "import os, signal\ndef metric(gold, pred, trace=None):\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    with service(data_dir=tmp_path / "killed") as running:
        answer = ended(
            running.http,
            submit(running.http, body(model, metric_code=suicidal, run_options={"retries": 1, "threads": THREADS})),
        )
    assert answer["status"] == "failed"
    assert "SIGKILL" in answer["message"].splitlines()[0] or "signal 9" in answer["message"].splitlines()[0]


def test_sigterm_ends_all_of_it_and_leaves_no_process(model: ScriptedServer, tmp_path: Path) -> None:
    with service(data_dir=tmp_path / "stopped") as running:
        job_id = half_way(running.http, model, 10)
        processes = running.processes()
    wait_for(lambda: not any(alive(process) for process in processes), timeout=20, what="all of the service has ended")
    model.release()
    with service(data_dir=tmp_path / "stopped") as again:
        assert ended(again.http, job_id)["status"] == "success"
        told_once_and_in_order(again.http, job_id)
