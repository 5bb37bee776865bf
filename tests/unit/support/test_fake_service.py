"""The service that is a function answers the client's tests as the real one is declared to."""

from typing import Any

import httpx
import orjson
import pytest

from declared_answers import hold
from fake_service import FakeService

NEWER = "a_field_of_a_newer_service"
"""On purpose: a client must let it pass."""


def without_newer(node: Any) -> Any:
    if isinstance(node, list):
        return [without_newer(item) for item in node]
    if isinstance(node, dict):
        return {name: without_newer(value) for name, value in node.items() if name != NEWER}
    return node


@pytest.mark.parametrize("status", ["pending", "running", "success", "failed"])
@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("GET", "/health"),
        ("POST", "/run"),
        ("POST", "/run?dry_run=true"),
        ("GET", "/jobs"),
        ("GET", "/jobs/job1"),
        ("GET", "/jobs/job1/summary"),
        ("GET", "/jobs/job1/logs?after=0&limit=10"),
        ("GET", "/jobs/job1/events?after=0&limit=10"),
        ("GET", "/jobs/job1/artifact"),
        ("GET", "/jobs/job1/payload"),
        ("GET", "/jobs/nobody"),
        ("DELETE", "/jobs/job1"),
    ],
)
def test_it_answers_as_is_declared(status: str, method: str, url: str) -> None:
    service = FakeService()
    job = service.add(status, logs=["a", "b"], events=[("optimizer_progress", {"tqdm_n": 1})])
    job.looks = 1
    with httpx.Client(base_url="http://service", transport=service.transport) as client:
        answer = client.request(method, url, headers={"Idempotency-Key": "k"})
    if answer.content:
        answer = httpx.Response(answer.status_code, json=without_newer(orjson.loads(answer.content)))
    hold(method, url.partition("?")[0], answer)
