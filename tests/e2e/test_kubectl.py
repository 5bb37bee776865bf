"""kubectl as a client, on the kubeconfig that `up` writes."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from payloads import payload
from scripted_lm import ScriptedServer
from waiting import wait_for
from whole_jobs import ended, job, submit
from whole_service import Service

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not on this machine"),
]
EXAMPLE = Path(__file__).parents[2] / "examples" / "job.yaml"


def kubectl(service: Service, *args: str, stdin: str = "") -> str:
    command = ["kubectl", "--kubeconfig", str(service.kubeconfig), *args]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def example(model: ScriptedServer, name: str) -> dict[str, Any]:
    """The example as it stands in the repository, on the test's own model."""
    document: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
    document["metadata"]["name"] = name
    document["spec"]["models"] = {"default": {"name": "openai/scripted", "baseUrl": model.url}}
    return document


def test_an_applied_job_is_answered_under_its_own_name(running: Service, model: ScriptedServer) -> None:
    kubectl(running, "apply", "-f", "-", stdin=yaml.safe_dump(example(model, "applied")))
    answer = ended(running.url, "applied")
    assert answer["status"] == "success", answer["message"]
    assert answer["job_id"] == "applied"
    kubectl(running, "wait", "--for=condition=Succeeded", "oj/applied", "--timeout=30s")
    again = kubectl(running, "apply", "-f", "-", stdin=yaml.safe_dump(example(model, "applied")))
    assert "unchanged" in again or "configured" in again


def test_columns_tell_how_a_job_stands(running: Service, model: ScriptedServer) -> None:
    job_id = submit(running.url, payload(30, model.url))
    ended(running.url, job_id)
    header, *lines = kubectl(running, "get", "oj").splitlines()
    assert header.split()[:4] == ["NAME", "PHASE", "OPTIMIZER", "MODULE"]
    assert any(line.split()[:3] == [f"job-{job_id}", "Succeeded", "dspy.BootstrapFewShot"] for line in lines)
    score = job(running.url, job_id)["result"]["optimized_test_metric"]
    assert str(score) in kubectl(running, "get", "oj", f"job-{job_id}")


def test_explain_describe_logs_and_delete(running: Service, model: ScriptedServer) -> None:
    assert "Alias (miprov2, gepa, ...)" in kubectl(running, "explain", "optimizationjob.spec.optimizer")
    job_id = submit(running.url, payload(30, model.url))
    ended(running.url, job_id)
    described = kubectl(running, "describe", "oj", f"job-{job_id}")
    assert "Succeeded" in described
    assert "Events:" in described
    pod = kubectl(running, "get", "pods", "-l", f"dspy-service.io/job=job-{job_id}", "-o", "name").strip()
    assert "Average Metric" in kubectl(running, "logs", pod, "-c", "optimizer")
    kubectl(running, "delete", "oj", f"job-{job_id}")
    selector = f"dspy-service.io/job=job-{job_id}"
    wait_for(lambda: not kubectl(running, "get", "pods", "-l", selector, "-o", "name"), interval=0.3)


def test_what_a_submit_refuses_is_refused_for_a_resource(running: Service, model: ScriptedServer) -> None:
    broken = example(model, "broken")
    broken["spec"]["optimizer"] = {"name": "miprov3"}
    kubectl(running, "apply", "-f", "-", stdin=yaml.safe_dump(broken))
    answer = ended(running.url, "broken")
    assert answer["status"] == "failed"
    assert "miprov3" in answer["message"]


def test_the_spec_is_immutable_but_for_its_controls(running: Service, model: ScriptedServer) -> None:
    kubectl(running, "apply", "-f", "-", stdin=yaml.safe_dump(example(model, "fixed")))
    command = ["kubectl", "--kubeconfig", str(running.kubeconfig), "patch", "oj", "fixed", "--type=merge", "-p"]
    patch = '{"spec":{"module":{"name":"cot2"}}}'
    refused = subprocess.run([*command, patch], capture_output=True, text=True, timeout=60)
    assert refused.returncode != 0
    assert "the spec cannot be changed, but for suspend and stop" in refused.stderr
    assert subprocess.run([*command, '{"spec":{"stop":"Cancel"}}'], capture_output=True, timeout=60).returncode == 0
