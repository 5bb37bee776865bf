"""What a search tries is told while it runs, and by its resource; a pause loses nothing of it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from payloads import payload
from under_test import Model, Service
from waiting import wait_for
from whole_jobs import ended, job, reached, submit

pytestmark = pytest.mark.e2e

SEARCH = {
    "optimizer_name": "gepa",
    "optimizer_kwargs": {"max_metric_calls": 150, "num_threads": 2},
    "split_fractions": {"train": 0.4, "val": 0.3, "test": 0.3},
}


@pytest.fixture
def slow(model: Model) -> Iterator[Model]:
    model.reset()
    model.latency = 0.4  # so that the search is far from its end when it is paused, however late the answers are
    yield model
    model.latency = 0.0


def begun(running: Service, model: Model, tried: int) -> str:
    reflects = {"reflection_model_config": json.loads(payload(1, model.url))["model_config"]}
    job_id = submit(running.http, payload(30, model.url, **SEARCH, **reflects))
    reached(running.http, job_id, {"running"}, timeout=120)
    wait_for(lambda: len(candidates(running, job_id)) >= tried, timeout=120, interval=0.2, what="what it has tried")
    return job_id


def candidates(running: Service, job_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while page := running.http.get(f"/jobs/{job_id}/candidates", params={"after": len(found), "limit": 2}).json():
        found += page
    return found


def best_so_far(running: Service, job_id: str) -> Any:
    answer = running.http.get(f"/jobs/{job_id}/artifact?best=true")
    if answer.status_code == 409:
        assert answer.json()["code"] == "no_best_yet"
        return None
    return answer.json()["program_artifact"]


def test_candidates_are_told_as_they_come_and_through_a_pause(running: Service, slow: Model) -> None:
    job_id = begun(running, slow, tried=2)
    before = candidates(running, job_id)
    best = wait_for(lambda: best_so_far(running, job_id), timeout=60, interval=0.2, what="a best program so far")
    assert best["metadata"]["rows"] == before[0]["rows"]
    assert best["program_state"]
    assert best["optimized_prompt"]
    assert best["messages"]["predictors"]
    assert job(running.http, job_id, "/summary")["status"] == "running"
    assert running.http.post(f"/jobs/{job_id}/pause").status_code == 202
    wait_for(lambda: job(running.http, job_id, "/summary")["status"] == "pending", timeout=60, what="the pause")
    paused = candidates(running, job_id)
    slow.latency = 0.0
    assert running.http.post(f"/jobs/{job_id}/resume").status_code == 202

    answer = ended(running.http, job_id)

    assert answer["status"] == "success", answer["message"]
    told = candidates(running, job_id)
    assert [each["n"] for each in told] == [*range(1, len(told) + 1)]
    assert told[: len(paused)] == paused
    assert paused[: len(before)] == before
    assert (told[0]["changes"], told[0]["accepted"], told[0]["at_call"]) == ({}, True, 0)
    assert all(parent < each["n"] for each in told for parent in each["parents"])
    assert answer["candidates_count"] == answer["result"]["details"]["candidates_count"] == len(told)
    command = [sys.executable, "-m", "dspy_service", "--url", running.url, "--token", running.token]
    printed = subprocess.run(
        [*command, "candidates", job_id, "--output", "json"], capture_output=True, text=True, timeout=120, check=True
    )
    assert [each["score"] for each in json.loads(printed.stdout)] == [each["score"] for each in told]
