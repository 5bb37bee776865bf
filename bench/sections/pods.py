"""Whole jobs on a real cluster (KUBECONFIG_UNDER_TEST) where the chart is installed, beside bare Jobs of the same pod.

Bare and ours take turns, so that whatever else the machine does meets both. The operator is let run all jobs at once:
how many really do, the scheduler says, in both cases.
"""

import os
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from dspy_service_core.records.events import OPTIMIZED
from installed_service import installed
from kube_http import KubeHttp
from measuring.figures import Figure
from measuring.follow import Client, Course
from model_pod import model_pod
from payloads import payload
from peers.bare_pods import LABEL, BarePods, runner_job

NAMESPACE = os.environ.get("NAMESPACE_UNDER_TEST", "dspy-service")
ROWS = 30
STARTS = 9
MANY = int(os.environ.get("BENCH_JOBS", "100"))
"""Fewer for a look on a busy machine: a hundred take a quarter of an hour there, twice."""
CLIENTS = 8
LOOK_SECONDS = 0.05
"""A thirtieth of what is measured; the bare Job beside it tells its own times, and nobody looks meanwhile."""
SLOWER = 1.25


def measure() -> list[Figure]:
    kubeconfig = Path(os.environ["KUBECONFIG_UNDER_TEST"])
    with (
        tempfile.TemporaryDirectory(prefix="dspy-service-bench-") as home,
        KubeHttp(kubeconfig) as http,
        installed(kubeconfig, NAMESPACE, Path(home)) as service,
        model_pod(kubeconfig, service.image("api"), Path(home)) as model,
        service.settings("operator", DSPY_SERVICE_CONCURRENCY=str(2 * MANY)),
    ):
        client, body = Client(service.url, service.token, LOOK_SECONDS), payload(ROWS, model.url)
        first = client.follow(body)
        bare = BarePods(service.kubectl, http, runner_job(http, NAMESPACE, first.job_id), model.url)
        return [*_one_by_one(client, bare, body), _at_once(client, bare, body)]


def _one_by_one(client: Client, bare: BarePods, body: bytes) -> list[Figure]:
    began, imported, running, success = list[float](), list[float](), list[float](), list[float]()
    for number in range(STARTS):
        start = bare.start(f"{LABEL}-one-{number}")
        course = client.follow(body)
        began.append(start.began)
        imported.append(start.imported)
        running.append(course.running - course.posted)
        success.append(course.success - _end_of_work(client, course))
        theirs = f"bare {began[-1]:.2f} s, with dspy imported {imported[-1]:.2f} s"
        print(f"{theirs}; ours running {running[-1]:.2f} s, success {success[-1]:.2f} s after its end of work")
    first_line, with_dspy = statistics.median(began), statistics.median(imported)
    return [
        Figure("POST to running (median)", statistics.median(running), "s", most=first_line + 1, peer="1 s above bare"),
        Figure("the same", statistics.median(running), "s", most=with_dspy + 1, peer="1 s above bare with dspy"),
        Figure("end of work to success (median)", statistics.median(success), "s", most=2),
    ]


def _end_of_work(client: Client, course: Course) -> float:
    """The final score, by the optimizer's own clock, which is this machine's."""
    events = client.ask(f"/jobs/{course.job_id}/events")
    last = next(event for event in events if event["event"] == OPTIMIZED)
    return datetime.fromisoformat(last["timestamp"]).timestamp()


def _at_once(client: Client, bare: BarePods, body: bytes) -> Figure:
    alone = bare.at_once(MANY)
    print(f"{MANY} bare Jobs: {alone:.0f} s (load average {os.getloadavg()[0]:.0f})")
    took = _ours_at_once(client, body)
    print(f"{MANY} jobs: {took:.0f} s (load average {os.getloadavg()[0]:.0f})")
    return Figure(f"{MANY} jobs at once", took, "s", most=SLOWER * alone, peer=f"{SLOWER} times as many bare Jobs")


def _ours_at_once(client: Client, body: bytes) -> float:
    """Seconds from the first POST to the last success."""
    began = time.time()
    with ThreadPoolExecutor(CLIENTS) as pool:
        ids = list(pool.map(client.submit, [body] * MANY))
    client.await_success(ids, pause=0.5)
    took = time.time() - began
    for job_id in ids:
        client.remove(job_id)
    return took
