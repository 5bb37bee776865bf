"""What a job costs the API server: the writes of API and operator together, counted by their own metrics.

The budget is 8 writes a job, progress, queue position and Event objects excluded, and 8 Events.
"""

from collections import Counter

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from payloads import payload
from under_test import Model
from waiting import wait_for
from whole_jobs import ended, submit
from whole_service import await_port, free_port, service

pytestmark = pytest.mark.e2e

MOST_WRITES = MOST_EVENTS = 8
_READS = frozenset({"get", "list", "watch"})


def _writes(ports: tuple[int, int]) -> Counter[tuple[str, str]]:
    counted: Counter[tuple[str, str]] = Counter()
    for port in ports:
        page = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                if sample.name == "dspy_service_kube_requests_total" and sample.labels["verb"] not in _READS:
                    counted[sample.labels["verb"], sample.labels["resource"]] += int(sample.value)
    return counted


def test_a_job_takes_no_more_writes_than_its_budget(model: Model) -> None:
    """With a key in its body, so that it has a Secret: the dearest of the normal jobs. One after another,
    because jobs that come at once keep each other's phases long enough to be told.
    """
    ports = free_port(), free_port()
    names = ("DSPY_SERVICE_API_METRICS_PORT", "DSPY_SERVICE_OPERATOR_METRICS_PORT")
    with service(env=dict(zip(names, map(str, ports), strict=True))) as running:
        for port in ports:
            await_port(port)
        costs, jobs = [], []
        for _ in range(3):
            before = _settled(ports)
            jobs.append(submit(running.http, payload(30, model.url)))
            assert ended(running.http, jobs[-1])["status"] == "success"
            costs.append(_settled(ports) - before)
        told = httpx.get(f"http://127.0.0.1:{ports[0]}/metrics", timeout=30).text
    for cost in costs:
        assert cost["create", "optimizationjobs"] == cost["create", "jobs"] == cost["create", "secrets"] == 1
        assert 3 <= cost.pop(("create", "events")) <= MOST_EVENTS
    assert sum(cost.total() for cost in costs) <= MOST_WRITES * len(costs), costs
    assert jobs[0] not in told


def _settled(ports: tuple[int, int]) -> Counter[tuple[str, str]]:
    """A job's label and its last Event follow the status that ends it."""
    looks = [_writes(ports)]

    def the_same_again() -> bool:
        looks.append(_writes(ports))
        return looks[-1] == looks[-2]

    wait_for(the_same_again, interval=0.5, what="no further writes")
    return looks[-1]
