"""kubectl as a client: on the kubeconfig that `up` writes, and on a real cluster's."""

import shutil

import pytest

from examples import applied_example
from kubectl import Kubectl
from payloads import payload
from under_test import Model, Service
from unique import unique
from waiting import wait_for
from whole_jobs import ended, job, submit

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not on this machine"),
]


def test_an_applied_job_is_answered_under_its_own_name(running: Service, model: Model, kubectl: Kubectl) -> None:
    name = unique("applied")
    kubectl.apply(applied_example(model, name))
    answer = ended(running.http, name)
    assert answer["status"] == "success", answer["message"]
    assert answer["job_id"] == name
    kubectl.run("wait", "--for=condition=Succeeded", f"oj/{name}", "--timeout=30s")
    again = kubectl.apply(applied_example(model, name))
    assert "unchanged" in again or "configured" in again


def test_columns_tell_how_a_job_stands(running: Service, model: Model, kubectl: Kubectl) -> None:
    job_id = submit(running.http, payload(30, model.url))
    ended(running.http, job_id)
    header, *lines = kubectl.run("get", "oj").splitlines()
    assert header.split()[:4] == ["NAME", "PHASE", "OPTIMIZER", "MODULE"]
    assert any(line.split()[:3] == [f"job-{job_id}", "Succeeded", "dspy.BootstrapFewShot"] for line in lines)
    score = job(running.http, job_id)["result"]["optimized_test_metric"]
    assert str(score) in kubectl.run("get", "oj", f"job-{job_id}")


def test_explain_describe_logs_and_delete(running: Service, model: Model, kubectl: Kubectl) -> None:
    explained = kubectl.run("explain", "optimizationjob.spec.optimizer")
    assert "an alias such as miprov2 or gepa" in " ".join(explained.split())
    job_id = submit(running.http, payload(30, model.url))
    ended(running.http, job_id)
    assert "Succeeded" in kubectl.run("describe", "oj", f"job-{job_id}")
    wait_for(lambda: "Succeeded" in events(kubectl, job_id), interval=0.3, what="the Event of the job's end")
    pods = ("get", "pods", "-l", f"dspy-service.io/job=job-{job_id}", "-o", "name")
    pod = kubectl.run(*pods).strip()
    # The job ends by its runner's own report. The kubelet may tell of the pod's containers only after that, and gives
    # no logs of those it has not told of.
    kubectl.run("wait", pod, "--for=jsonpath={.status.phase}=Succeeded", "--timeout=50s")
    assert "Average Metric" in kubectl.run("logs", pod, "-c", "optimizer")
    kubectl.run("delete", "oj", f"job-{job_id}")
    wait_for(lambda: not kubectl.run(*pods), interval=0.3, timeout=60)


def events(kubectl: Kubectl, job_id: str) -> str:
    """What `describe` prints below the object; Events are written after the status that they tell of."""
    return kubectl.run("describe", "oj", f"job-{job_id}").partition("\nEvents:")[2]


def test_what_a_submit_refuses_is_refused_for_a_resource(running: Service, model: Model, kubectl: Kubectl) -> None:
    broken = applied_example(model, name := unique("broken"))
    broken["spec"]["optimizer"] = {"name": "miprov3"}
    kubectl.apply(broken)
    answer = ended(running.http, name)
    assert answer["status"] == "failed"
    assert "miprov3" in answer["message"]


def test_the_spec_is_immutable_but_for_its_controls(model: Model, kubectl: Kubectl) -> None:
    kubectl.apply(applied_example(model, name := unique("fixed")))
    patch = ("patch", "oj", name, "--type=merge", "-p")
    refused = kubectl.run(*patch, '{"spec":{"module":{"name":"cot2"}}}', fails=True)
    assert "the spec cannot be changed, but for suspend and stop" in refused
    kubectl.run(*patch, '{"spec":{"stop":"Cancel"}}')
