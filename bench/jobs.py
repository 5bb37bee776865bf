"""Whole jobs: how soon they run, how soon they end, how many a minute.

The peer is the same work in the same kind of process with no service around it: `bare_job.py`.
"""

import json
import statistics
import time
import urllib.request
from itertools import repeat
from typing import Any

from bare_job import bare_cold, bare_forks
from figures import Figure
from load import run

from payloads import DATASET, payload
from whole_service import Service, model_server, service

ROWS = 30
STARTS = 9
MANY = 100


def measure() -> list[Figure]:
    figures: list[Figure] = []
    with model_server(DATASET) as model:
        with service("--prewarmed", "0") as cold:
            running, success = _one_by_one(cold, model)
        figures.append(Figure("POST to running, cold (median)", running, "ms", most=1000))
        figures.append(Figure(f"POST to success, BootstrapFewShot on {ROWS} rows, cold", success, "ms", most=1500))
        fork = bare_forks(model, STARTS)
        with service() as warm:
            running, success = _one_by_one(warm, model)
        figures.append(Figure("POST to running, prewarmed (median)", running, "ms", most=300))
        figures.append(
            Figure(
                f"POST to success, BootstrapFewShot on {ROWS} rows, prewarmed",
                success,
                "ms",
                most=2 * fork.median_ms,
                peer="twice a bare fork",
            )
        )
        alone = bare_cold(model, MANY)
        with service() as many:
            rate = _at_once(many, model)
        figures.append(Figure(f"{MANY} jobs at once", rate, "/min", least=0.6 * alone, peer="60 % of the work alone"))
    return figures


def _one_by_one(service: Service, model: str) -> tuple[float, float]:
    """Median milliseconds from the POST to the first answer `running` (or later) and to `success`."""
    body = payload(ROWS, model)
    timings = [_follow(service.url, body) for _ in range(STARTS)]
    return statistics.median(t[0] for t in timings), statistics.median(t[1] for t in timings)


def _follow(url: str, body: bytes) -> tuple[float, float]:
    began = time.perf_counter()
    job_id = _json(url + "/run", body)["job_id"]
    running = None
    while True:
        status = _json(f"{url}/jobs/{job_id}/summary")["status"]
        now = (time.perf_counter() - began) * 1000
        if running is None and status in {"running", "success"}:
            running = now
        if status == "success":
            return running or now, now
        if status in {"failed", "cancelled"}:
            raise SystemExit(f"job {job_id} ended as {status}: {_json(f'{url}/jobs/{job_id}')['message']}")
        time.sleep(0.005)


def _at_once(service: Service, model: str) -> float:
    """Jobs a minute, from the first POST to the last success."""
    began = time.perf_counter()
    run(service.url, repeat(("POST", "/run", payload(ROWS, model)), MANY))
    while True:
        listed = _json(f"{service.url}/jobs?limit=200")["jobs"]
        ended = [job for job in listed if job["status"] in {"success", "failed"}]
        if len(ended) >= MANY:
            break
        time.sleep(0.1)
    if failed := [job for job in ended if job["status"] == "failed"]:
        raise SystemExit(f"{len(failed)} jobs failed: {failed[0]['message']}")
    return MANY / (time.perf_counter() - began) * 60


def _json(url: str, body: bytes | None = None) -> Any:
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)
