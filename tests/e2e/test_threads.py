"""How many calls at once a job may make, and slow calls made once more: asked for over HTTP and with kubectl."""

import shutil

import pytest
import yaml

from examples import applied_example
from kubectl import Kubectl
from payloads import payload
from under_test import Model, Service
from unique import unique
from whole_jobs import ended, submit

pytestmark = pytest.mark.e2e


def test_a_job_makes_no_more_calls_at_once_than_it_asks_for(running: Service, model: Model) -> None:
    model.reset()
    model.latency = 0.02
    try:
        job_id = submit(running.http, payload(40, model.url, run_options={"threads": 3, "hedge": True}))
        answer = ended(running.http, job_id)
    finally:
        model.latency = 0.0
    assert answer["status"] == "success", answer["message"]
    assert answer["result"]["details"]["threads"] == 3
    assert model.stats.max_in_flight == 3
    again = running.http.get(f"/jobs/{job_id}/payload").json()
    assert (again["run_options"]["threads"], again["run_options"]["hedge"]) == (3, True)


@pytest.mark.parametrize("threads", [0, 10_000])
def test_a_number_that_cannot_be_is_refused_with_its_cure(threads: int, running: Service, model: Model) -> None:
    answer = running.http.post("/run", content=payload(40, model.url, run_options={"threads": threads}))
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(f"run_options.threads: {threads} model calls at once cannot be: give 1 ")


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not on this machine")
def test_so_it_is_with_kubectl(running: Service, model: Model, kubectl: Kubectl) -> None:
    manifest = applied_example(model, name := unique("threads"))
    manifest["spec"]["run"] = {"threads": 0}
    refused = kubectl.run("apply", "-f", "-", stdin=yaml.safe_dump(manifest), fails=True)
    assert "threads must be 1 to 100" in refused
    manifest["spec"]["run"] = {"threads": 2, "hedge": True}
    kubectl.apply(manifest)
    answer = ended(running.http, name)
    assert answer["status"] == "success", answer["message"]
    assert answer["result"]["details"]["threads"] == 2
