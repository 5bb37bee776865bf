"""On a whole service: what a finished job was submitted as can be submitted again, and a dry run leaves nothing."""

from typing import Any

import orjson
import pytest

from declared_answers import held_to
from kubectl import Kubectl
from payloads import payload
from under_test import Model, Service
from unique import unique
from whole_jobs import ended, job, submit

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def test_a_finished_job_is_estimated_fetched_and_submitted_again(
    running: Service, model: Model, kubectl: Kubectl
) -> None:
    label = unique("again")
    body = payload(60, model.url, run_options={"labels": {"suite": label}})  # its rows lie in the store

    before = running.stored("payload.json")
    said = running.http.post("/run?dry_run=true", content=body)
    assert said.status_code == 200, said.text
    estimate = held_to("DryRun", said.json())["estimate"]
    assert listed(running, label) == []
    assert kubectl.run("get", "optimizationjobs", "-l", f"suite={label}", "-o", "name").strip() == ""
    assert running.stored("payload.json") == before

    first = submit(running.http, body)
    answer = ended(running.http, first)
    assert answer["status"] == "success", answer["message"]
    calls = answer["latest_metrics"]["tqdm_n"] + 2 * answer["result"]["split_counts"]["test"]
    assert estimate["metric_calls"]["least"] <= calls <= estimate["metric_calls"]["most"]

    fetched = job(running.http, first, "/payload")
    assert "api_key" not in str(fetched)
    fetched["model_config"]["extra"] = {"api_key": "bench"}
    second = submit(running.http, orjson.dumps(fetched))
    again = ended(running.http, second)
    assert (again["status"], again["result"]["baseline_test_metric"]) == (
        "success",
        answer["result"]["baseline_test_metric"],
    )
    assert set(listed(running, label)) == {first, second}, "the dry run made none"


def listed(running: Service, label: str) -> list[Any]:
    answer = running.http.get("/jobs", params={"label": f"suite={label}"}).json()
    return [each["job_id"] for each in answer["jobs"]]
