"""Whole jobs: how soon they run, how soon they end, how many a minute.

The peer is the same work in the same kind of process with no service around it: `bare_job.py`.
"""

import json
import statistics
import time
from itertools import repeat

from measuring.figures import Figure
from measuring.follow import Client
from measuring.load import Answer, run
from payloads import DATASET, payload
from peers.bare_job import bare_cold, bare_forks
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
    client, body = Client(service.url), payload(ROWS, model)
    courses = [client.follow(body) for _ in range(STARTS)]
    running = statistics.median(course.running - course.posted for course in courses)
    return running * 1000, statistics.median(course.success - course.posted for course in courses) * 1000


def _at_once(service: Service, model: str) -> float:
    """Jobs a minute, from the first POST to the last success."""
    client, ids = Client(service.url), list[str]()
    began = time.perf_counter()
    run(
        service.url,
        repeat(("POST", "/run", payload(ROWS, model)), MANY),
        on_answer=lambda answer: ids.append(_id(answer)),
    )
    client.await_success(ids)
    return MANY / (time.perf_counter() - began) * 60


def _id(answer: Answer) -> str:
    return str(json.loads(answer.body)["job_id"])
