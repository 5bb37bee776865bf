"""An API server that is away, one that forgot its history, and clocks that differ: jobs run on, and end right."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest

from cluster_jobs import ClusterJobs, Object, awaited, spread
from dspy_service_core.kube.resources import LEASES, OPTIMIZATION_JOBS
from dspy_service_core.resource.conditions import parse_time
from installed_service import InstalledService
from kube_http import KubeHttp, ok
from kubectl import Kubectl
from nodes import Node
from payloads import payload
from under_test import Model
from waiting import wait_for
from whole_jobs import ended, submit

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

LATENCY = 1.5
"""Seconds that a model call takes."""
LONG, SHORT = 240, 40
"""Of the calls that `spread` is asked for somewhat more than half is made, one by one: minutes, or half of one."""


@pytest.fixture
def slow(model: Model) -> Iterator[Model]:
    model.reset()
    yield model
    model.latency = 0.0


@pytest.fixture(scope="session")
def control_plane(api: KubeHttp, node_of: Callable[[Object], Node]) -> Node:
    selector = "component=kube-apiserver"
    (pod,) = ok(api.get("/api/v1/namespaces/kube-system/pods", labelSelector=selector))["items"]
    return node_of(pod)


def answers(api: KubeHttp) -> bool:
    try:
        return api.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def renewed(api: KubeHttp, part: str) -> str:
    return str(ok(api.get(LEASES.path("kube-system", part)))["spec"]["renewTime"])


def leads(api: KubeHttp, part: str, stale: str) -> bool:
    return renewed(api, part) > stale


@contextmanager
def away(api: KubeHttp, service: InstalledService, control_plane: Node, how: str) -> Iterator[None]:
    """For a minute. Tests reach nothing meanwhile: every way leads through the API server."""
    with control_plane.frozen(SERVER) if how == "frozen" else control_plane.without_manifest(SERVER):
        wait_for(lambda: not answers(api), timeout=60, interval=0.5, what="the API server to be away")
        control_plane.run("sleep", "60")
        yield
    wait_for(lambda: answers(api), timeout=180, interval=1, what="the API server to be back")
    wait_for(service.answers, timeout=120, interval=1, what="the HTTP API to be reached again")


def await_leaders(api: KubeHttp) -> None:
    for part in ("kube-scheduler", "kube-controller-manager"):  # they end with their leases, and are slow to come back
        stale = awaited(partial(renewed, api, part), timeout=60, what=f"the lease of {part}")
        awaited(partial(leads, api, part, stale), timeout=400, what=f"{part} to lead again")


@pytest.fixture(scope="module")
def undisturbed(jobs: ClusterJobs, model: Model) -> int:
    return jobs.undisturbed_calls(model, LONG, SHORT)


@pytest.mark.parametrize("how", ["frozen", "gone"])
def test_an_api_server_that_is_away_for_a_minute(
    service: InstalledService,
    jobs: ClusterJobs,
    api: KubeHttp,
    slow: Model,
    control_plane: Node,
    undisturbed: int,
    submitted: Callable[..., str],
    how: str,
) -> None:
    """A job that outlasts it is not even tried again. One that ends meanwhile may be: its pod has half a minute to tell
    of it, and then another attempt tells, from the journal."""
    before = ok(api.get(OPTIMIZATION_JOBS.path(jobs.namespace)))["metadata"]["resourceVersion"]
    slow.latency = LATENCY
    outlasts, ends_meanwhile = submitted(spread(slow, LONG)), submitted(spread(slow, SHORT))
    for name in (outlasts, ends_meanwhile):
        jobs.runs(name)
    calls = slow.stats.calls
    with away(api, service, control_plane, how):
        pass
    assert jobs.status(outlasts)["phase"] == "Running", "the job was to outlast it"
    await_leaders(api)
    assert slow.stats.calls > calls + SHORT + 30 / LATENCY, "the optimizer did not go on"
    if how == "gone":
        assert "Expired" in expired(api, jobs.namespace, before), "the watches were not told to list anew"
    slow.latency = 0.0
    found = jobs.ended(outlasts, timeout=400)
    assert (found["phase"], found.get("attempts", [])) == ("Succeeded", []), found
    found = jobs.ended(ends_meanwhile)
    assert (found["phase"], found.get("retriesUsed", 0) <= 1) == ("Succeeded", True), found
    assert slow.stats.calls <= undisturbed, "answered calls were asked again"
    job_id = submit(service.http, payload(12, slow.url))
    assert ended(service.http, job_id)["status"] == "success"
    listed = [job["job_id"] for job in service.http.get("/jobs?limit=500").json()["jobs"]]
    assert {job_id, outlasts, ends_meanwhile} <= set(listed)


SERVER = "kube-apiserver"


def expired(api: KubeHttp, namespace: str, version: str) -> str:
    """What a watch from that version on is answered: 410 at once, or as its first event."""
    try:
        with api.watch(OPTIMIZATION_JOBS.path(namespace), resourceVersion=version, timeoutSeconds=5) as events:
            return str(next(events, ""))
    except AssertionError as refused:
        return str(refused)


PATIENCE = 12
"""Seconds that operator gives a pod to start."""


@contextmanager
def operator_of_another_time(service: InstalledService, offset: str, folder: Path) -> Iterator[None]:
    """The cluster's own operator rests; one on this machine, whose clock is off, does its work."""
    faketime = shutil.which("faketime")
    if faketime is None:
        pytest.skip("faketime is not on this machine (Debian: apt-get install faketime)")
    kubectl: Kubectl = service.kubectl
    deployment = kubectl.json(service.part("operator"))
    replicas = str(deployment["spec"]["replicas"])
    told = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    variables = {entry["name"]: entry["value"] for entry in told if "value" in entry}
    local = {
        "KUBECONFIG": str(service.kubeconfig),
        "DSPY_SERVICE_SWEEP_SECONDS": "86400",
        "DSPY_SERVICE_LEASE_NAME": "",
        "DSPY_SERVICE_LIVENESS_ADDRESS": "",
        "DSPY_SERVICE_METRICS_PORT": "0",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DSPY_SERVICE_START_TIMEOUT_SECONDS": str(PATIENCE),
    }
    if variables["DSPY_SERVICE_STORE_URL"].startswith("file:"):  # pods mount the claim whatever this says
        local["DSPY_SERVICE_STORE_URL"] = f"file://{folder}"
    environment = os.environ | variables | local
    kubectl.run("scale", service.part("operator"), "--replicas=0")
    wait_for(lambda: not service.pods("operator"), timeout=90, interval=0.5, what="the cluster's operator to end")
    command = [faketime, "-f", offset, str(Path(sys.executable).parent / "dspy-service-operator")]
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # faketime only waits for what it started
        process.wait(30)
        kubectl.run("scale", service.part("operator"), f"--replicas={replicas}")
        kubectl.run("rollout", "status", service.part("operator"), "--timeout=120s", timeout=130)


@pytest.mark.parametrize("offset", ["+3600s", "-240s"])
def test_an_operator_whose_clock_is_off(
    service: InstalledService,
    jobs: ClusterJobs,
    model: Model,
    submitted: Callable[..., str],
    tmp_path: Path,
    offset: str,
) -> None:
    """One job runs well; another's image cannot be pulled, and gets its seconds, no fewer and not minutes.

    Not more than minutes behind, because the cluster's certificates are not older than the cluster.
    """
    broken = spread(model, 40, run={"image": "registry.invalid/nowhere:1"})
    with operator_of_another_time(service, offset, tmp_path):
        good, bad = submitted(spread(model, 40)), submitted(broken)
        assert jobs.ended(good)["phase"] == "Succeeded"
        assert jobs.ended(bad)["phase"] == "Failed"
    metadata = jobs.get(bad)["metadata"]
    made = parse_time(metadata["creationTimestamp"])
    given_up = parse_time(max(entry["time"] for entry in metadata["managedFields"]))
    assert made is not None
    assert given_up is not None
    assert PATIENCE - 2 < (given_up - made).total_seconds() < 200, "by the API server's own clock"
