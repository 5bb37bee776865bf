"""DELETE of a job whose record somebody's finalizer keeps: its pod ends as any deleted job's, processes and all."""

import json
import subprocess
from collections.abc import Callable, Iterator

import pytest

from living import alive
from payloads import payload
from scripted_lm import ScriptedServer
from waiting import wait_for
from whole_jobs import job, reached, submit
from whole_service import Service, service

pytestmark = pytest.mark.e2e

SLOW_METRIC = "import time\ndef metric(gold, pred, trace=None):\n    time.sleep(0.5)\n    return True\n"
HOLD = "example.org/hold"


@pytest.fixture(scope="module")
def running() -> Iterator[Service]:
    """Without spare processes: what begins with a job is that job's."""
    with service("--prewarmed", "0") as started:
        yield started


def kubectl(running: Service, *args: str) -> str:
    command = ["kubectl", "--kubeconfig", str(running.kubeconfig), *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def pods(running: Service, job_id: str) -> list[str]:
    return kubectl(running, "get", "pods", "-l", f"dspy-service.io/job=job-{job_id}", "-o", "name").split()


def hold(running: Service, job_id: str, finalizers: list[str]) -> None:
    patch = json.dumps({"metadata": {"finalizers": finalizers}})
    kubectl(running, "patch", "oj", f"job-{job_id}", "--type=merge", "-p", patch)


def by_http(running: Service, job_id: str) -> None:
    answer = running.http.delete(f"/jobs/{job_id}")
    assert (answer.status_code, answer.json()["code"], answer.json()["finalizers"]) == (202, "record_kept", [HOLD])


def by_kubectl(running: Service, job_id: str) -> None:
    kubectl(running, "delete", "oj", f"job-{job_id}", "--wait=false")


@pytest.mark.parametrize("delete", [by_http, by_kubectl])
def test_its_pod_ends_and_it_is_cancelled(
    running: Service, model: ScriptedServer, delete: Callable[[Service, str], None]
) -> None:
    before = {process.pid for process in running.processes()}
    job_id = submit(running.http, payload(40, model.url, metric_code=SLOW_METRIC))
    assert reached(running.http, job_id, {"running"})["status"] == "running"
    own = [process for process in running.processes() if process.pid not in before]
    assert own
    hold(running, job_id, [HOLD])
    delete(running, job_id)
    wait_for(lambda: not pods(running, job_id), timeout=30, what="the pod to go")
    wait_for(lambda: not any(map(alive, own)), timeout=30, what="its processes to end")
    assert job(running.http, job_id, "/summary")["status"] == "cancelled"
    assert kubectl(running, "get", "oj", f"job-{job_id}", "-o", "jsonpath={.status.phase}") == "Cancelled"
    hold(running, job_id, [])
    wait_for(lambda: running.http.get(f"/jobs/{job_id}").status_code == 404, what="the record to go")
