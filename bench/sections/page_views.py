"""The web page over 10,000 stored jobs: how soon each of its pages answers at 8 clients, and what it weighs.

An answer is sent in one piece, so that its first byte is there when all of it is made.
"""

import gzip
import tempfile
from itertools import pairwise
from pathlib import Path
from statistics import mean

from dspy_service_api.page import static
from measuring.figures import Figure
from measuring.finished import STORE, seed
from measuring.load import Answer, run
from whole_service import Service, service

JOBS = 10_000
REQUESTS = 400


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="dspy-service-pages-") as temporary:
        folder = Path(temporary)
        with service(data_dir=folder) as running:
            ids = seed(running.kubeconfig, folder / STORE, JOBS)
            figures = [figure for name, paths in _pages(ids).items() for figure in _timed(running, name, paths)]
    scripts = sum(len(gzip.compress(file.content)) for name, file in static.found().items() if name.endswith(".js"))
    return [*figures, Figure("all scripts, compressed", scripts / 1000, "KB", most=100)]


def _pages(ids: list[str]) -> dict[str, list[str]]:
    """The paths that are asked for in turn, of each page."""
    some = ids[:: max(len(ids) // 40, 1)]
    return {
        "jobs": ["/"],
        "jobs with a filter": ["/?status=success", "/?words=predict"],
        "a job": [f"/page/jobs/{job_id}" for job_id in some],
        "its log": [f"/page/jobs/{job_id}/log" for job_id in some],
        "its settings": [f"/page/jobs/{job_id}/settings" for job_id in some],
        "two side by side": [f"/page/compare?job={a}&job={b}" for a, b in pairwise(some)],
        "a new job": ["/page/new"],
        "health": ["/page/health"],
    }


def _timed(running: Service, name: str, paths: list[str]) -> list[Figure]:
    weights: list[int] = []

    def weigh(answer: Answer) -> None:
        weights.append(len(gzip.compress(answer.body)))

    def requests(count: int) -> list[tuple[str, str, bytes]]:
        return [("GET", paths[n % len(paths)], b"") for n in range(count)]

    run(running.url, requests(16))  # templates are compiled at their first use
    load = run(running.url, requests(REQUESTS))
    if load.failures:
        raise SystemExit(f"{load.failures} of {name} failed: {load.first_failure}")
    run(running.url, requests(8), on_answer=weigh)
    return [
        Figure(f"{name}: median", load.median_ms, "ms", most=30),
        Figure(f"{name}: 99 of 100", load.p99_ms, "ms", most=100),
        Figure(f"{name}: compressed", mean(weights) / 1000, "KB", most=50),
    ]
