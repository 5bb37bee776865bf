"""A job with a budget, over HTTP and as a resource: it ends at its cap with the best so far, and says so everywhere."""

import json

import pytest

from payloads import payload
from under_test import Model, Service
from whole_jobs import ended, job, submit

pytestmark = pytest.mark.e2e

SEARCH = {
    "optimizer_name": "dspy.BootstrapFewShotWithRandomSearch",
    "optimizer_kwargs": {"num_candidate_programs": 8, "max_bootstrapped_demos": 1},
    "split_fractions": {"train": 0.3, "val": 0.4, "test": 0.3},
}
CAP = 90


def test_a_job_ends_at_its_budget_and_says_which(running: Service, model: Model) -> None:
    body = payload(30, model.url, budget={"model_calls": CAP}, **SEARCH)
    job_id = submit(running.http, body)
    answer = ended(running.http, job_id)

    assert answer["status"] == "success", answer["message"]
    assert answer["message"].endswith("Stopped early by the budget's model_calls: this is the best program so far.")
    details = answer["result"]["details"]
    assert (details["budget_hit"], details["stopped_early"]) == ("model_calls", True)
    assert None not in (details["baseline_test_metric"], details["optimized_test_metric"], details["verdict"])
    assert details["usage"]["total"]["calls"] <= CAP
    assert answer["latest_metrics"]["budget_hit"] == "model_calls"
    said = running.http.post("/run?dry_run=true", content=body, headers={"Content-Type": "application/json"}).json()
    for kind in ("metric_calls", "model_calls"):
        kept = details["estimate"][kind]
        assert {name: kept[name] for name in ("least", "most")} == {
            name: said["estimate"][kind][name] for name in ("least", "most")
        }
        assert 0 < kept["actual"] < kept["least"], "the search was ended"
    assert job(running.http, job_id, "/payload")["budget"] == {"model_calls": CAP}


def test_a_budget_for_nothing_is_refused_with_the_least(running: Service, model: Model) -> None:
    body = payload(30, model.url, budget={"model_calls": 20}, **SEARCH)
    answer = running.http.post("/run", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert json.loads(answer.text)["detail"].startswith("budget.model_calls 20 is less than this job takes")
