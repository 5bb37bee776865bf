"""What a job costs the API server: the writes of API and operator together, counted by their own metrics.

The budget is 8 writes a job, progress, queue position and Event objects excluded, and 8 Events.
"""

from collections import Counter

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from payloads import payload
from under_test import Model
from whole_jobs import ended, submit
from whole_service import await_port, free_port, service

pytestmark = pytest.mark.e2e

MOST_WRITES = MOST_EVENTS = 8
_READS = frozenset({"get", "list", "watch"})


def _writes(ports: tuple[int, int]) -> Counter[tuple[str, str]]:
    counted: Counter[tuple[str, str]] = Counter()
    for port in ports:
        page = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                if sample.name == "dspy_service_kube_requests_total" and sample.labels["verb"] not in _READS:
                    counted[sample.labels["verb"], sample.labels["resource"]] += int(sample.value)
    return counted


def test_a_job_takes_no_more_writes_than_its_budget(model: Model) -> None:
    """With a key in its body, so that it has a Secret: the dearest of the normal jobs."""
    ports = free_port(), free_port()
    names = ("DSPY_SERVICE_API_METRICS_PORT", "DSPY_SERVICE_OPERATOR_METRICS_PORT")
    with service(env=dict(zip(names, map(str, ports), strict=True))) as running:
        for port in ports:
            await_port(port)
        before = _writes(ports)
        jobs = [submit(running.http, payload(30, model.url)) for _ in range(3)]
        for job in jobs:
            assert ended(running.http, job)["status"] == "success"
        told = httpx.get(f"http://127.0.0.1:{ports[0]}/metrics").text
        counted = _writes(ports) - before
    events = counted.pop(("create", "events"))
    assert counted["create", "optimizationjobs"] == counted["create", "jobs"] == len(jobs)
    assert counted["create", "secrets"] == len(jobs)
    assert counted.total() <= MOST_WRITES * len(jobs), counted
    assert 3 * len(jobs) <= events <= MOST_EVENTS * len(jobs)
    assert jobs[0] not in told
