"""The same reporter against the embedded API server: its TLS, its tokens, its schema of the status."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from attempt_api import POD_UID, AttemptApi
from dspy_service_core.resource import names
from embedded_cluster import RunningCluster, cluster_in_thread
from reporter_pod import JOB_ID, NAME, ReporterPod, make_resource, terminate
from waiting import wait_for

JOBS = f"/apis/{names.API_VERSION}/namespaces/default/{names.PLURAL}"
MERGE = {"Content-Type": "application/merge-patch+json"}


class Cluster:
    def __init__(self, running: RunningCluster) -> None:
        context = ssl.create_default_context(cafile=str(running.authority))
        headers = {"Authorization": f"Bearer {running.token}"}
        self.http = httpx.Client(base_url=running.url, verify=context, headers=headers)
        self.running = running

    def create(self) -> None:
        resource = make_resource()
        body = {**resource, "metadata": {"name": NAME, "namespace": "default"}}
        answer = self.http.post(JOBS, json=body)
        assert answer.status_code == 201, answer.text

    def change(self, body: dict[str, Any], subresource: str = "") -> None:
        answer = self.http.patch(f"{JOBS}/{NAME}{subresource}", json=body, headers=MERGE)
        assert answer.status_code == 200, answer.text

    def record(self, pod_uid: str) -> None:
        attempt = {"number": 1, "jobName": f"{NAME}-1", "podUID": pod_uid}
        self.change({"status": {"attempt": attempt}}, "/status")

    def run(self) -> dict[str, Any]:
        return dict(self.http.get(f"{JOBS}/{NAME}").json().get("status", {}).get("run", {}))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with cluster_in_thread(tmp_path / "cluster") as running:
        made = Cluster(running)
        yield made
        made.http.close()


@pytest.fixture
def pod(tmp_path: Path, cluster: Cluster) -> Iterator[ReporterPod]:
    made = ReporterPod(tmp_path / "pod", AttemptApi(make_resource()), options=["--namespace", "default"])
    made.port = str(urlsplit(cluster.running.url).port)
    (made.token / "token").write_text(cluster.running.token)
    (made.token / "ca.crt").write_bytes(cluster.running.authority.read_bytes())
    yield made
    made.end()


def test_a_whole_attempt(cluster: Cluster, pod: ReporterPod) -> None:
    cluster.create()
    process = pod.start()
    cluster.record(POD_UID)
    pod.wait_ready()
    pod.log("one", "\0ü" * 5000)
    pod.event("dataset_splits_ready", train=2, nested={"a": [1, None]}, none=None)
    pod.progress(percent=1e-7, calls=3, total=9, bestScore=75.0, etaSeconds=0.1, usage={"calls": 7, "costUsd": 0.25})
    wait_for(lambda: cluster.run().get("stage") == "Running", what="Running")
    cluster.change({"spec": {"stop": "KeepBest"}})
    pod.log("two")
    wait_for(lambda: (pod.inputs / "stop").exists(), what="the stop file")
    pod.program()
    counts = {"train": 2, "val": 0, "test": 2}
    pod.result(stoppedEarly=True, splitCounts=counts, baselineScore=50, optimizedScore=75.5, runtimeSeconds=1e-9)
    wait_for(lambda: cluster.run().get("result"), what="the result")
    assert terminate(process) == 0
    run = cluster.run()
    assert (run["result"]["outcome"], run["result"]["splitCounts"]) == ("Succeeded", counts)
    assert run["result"]["artifact"]["path"] == f"ns/artifacts/{JOB_ID}"
    assert run["logs"]["count"] == 3
    assert run["metrics"]["nested"] == {"a": [1, None]}
    assert "refused" not in (pod.root / "reporter.log").read_text()


def test_a_pod_that_is_not_recorded_any_more_ends(cluster: Cluster, pod: ReporterPod) -> None:
    cluster.create()
    cluster.record(POD_UID)
    process = pod.start()
    pod.wait_ready()
    cluster.record("another")
    pod.log("one")
    assert process.wait(timeout=60) == 0
    assert cluster.run().get("podUID") in (None, POD_UID)
