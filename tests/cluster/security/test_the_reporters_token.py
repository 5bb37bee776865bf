"""What the token of a job's reporter is good for: its part of its own job's status, as the current attempt."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from accounts import await_default_account
from as_token import as_token, bound_token, patched
from cluster_jobs import ClusterJobs, Object, spread
from dspy_service_core.kube.resources import JOBS, OPTIMIZATION_JOBS, PODS, SECRETS
from installed_service import InstalledService
from kube_http import KubeHttp, ok
from kubectl import Kubectl
from under_test import Model
from unique import unique

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

READ_TOKEN = "print(open('/var/run/secrets/kubernetes.io/serviceaccount/token').read())"
DENIED = (403, 422)
"""By RBAC, and by the admission policy."""


@dataclass(frozen=True)
class Pair:
    """Two running jobs, the name of one beginning with the other's."""

    name: str
    other: str
    pod: Object


@pytest.fixture(scope="module")
def pair(jobs: ClusterJobs, model: Model) -> Iterator[Pair]:
    model.latency = 0.5
    first, second = spread(model, 300), spread(model, 300)
    first["metadata"]["name"] = unique("probe")
    second["metadata"]["name"] = f"{first['metadata']['name']}-1"
    other, name = jobs.create(first), jobs.create(second)
    jobs.runs(other)
    yield Pair(name, other, jobs.runs(name))
    model.latency = 0.0
    for each in (name, other):
        jobs.remove(each)


@pytest.fixture(scope="module")
def account(service: InstalledService) -> str:
    return f"{service.name}-runner"


@pytest.fixture(scope="module", params=["asked for", "taken"])
def reporter(
    request: pytest.FixtureRequest, service: InstalledService, pair: Pair, account: str, api: KubeHttp, kubectl: Kubectl
) -> Iterator[httpx.Client]:
    """The token that the API server gives out for that pod, and the very one that lies in it."""
    if request.param == "taken":
        pod = pair.pod["metadata"]["name"]
        token = kubectl.run("exec", pod, "-c", "reporter", "--", "python", "-c", READ_TOKEN).strip()
    else:
        token = bound_token(api, service.namespace, account, pair.pod)
    with as_token(service.kubeconfig, token) as client:
        yield client


@pytest.fixture
def path(service: InstalledService) -> Any:
    return lambda name, part="": OPTIMIZATION_JOBS.path(service.namespace, name, part)


def test_it_writes_its_own_part(reporter: httpx.Client, pair: Pair, path: Any) -> None:
    """Else the rest would show nothing."""
    ok(patched(reporter, path(pair.name, "status"), {"status": {"run": {"message": "probe"}}}))
    assert ok(reporter.get(path(pair.name)))["status"]["attempt"]["podUID"] == pair.pod["metadata"]["uid"]


@pytest.mark.parametrize(
    "status",
    [
        {"phase": "Succeeded"},
        {"message": "x"},
        {"conditions": []},
        {"conditions": None},
        {"attempt": {"podUID": "mine"}},
        {"attempt": None},
        {"attempts": []},
        {"queue": {"position": 3}},
        {"retriesUsed": 0},
        {"activeSeconds": 1},
        {"startedAt": None},
        {"completedAt": "2026-01-01T00:00:00Z"},
        {"observedGeneration": 99},
        {"run": {"message": "with"}, "phase": "Failed"},
    ],
    ids=lambda status: "+".join(status),
)
def test_it_writes_no_part_of_the_operators(
    reporter: httpx.Client, jobs: ClusterJobs, pair: Pair, path: Any, status: Object
) -> None:
    before = without_run(jobs.status(pair.name))
    answer = patched(reporter, path(pair.name, "status"), {"status": status})
    changed = without_run(jobs.status(pair.name)) != before
    assert answer.status_code in DENIED or not changed, answer.text
    assert not changed


def without_run(status: Object) -> Object:
    return {part: value for part, value in status.items() if part != "run"}


def test_it_writes_no_other_jobs_status(reporter: httpx.Client, pair: Pair, path: Any) -> None:
    assert pair.name.startswith(pair.other)
    answer = patched(reporter, path(pair.other, "status"), {"status": {"run": {"message": "stolen"}}})
    assert answer.status_code in DENIED, answer.text


@pytest.mark.parametrize("whose", ["own", "other"])
@pytest.mark.parametrize(
    "change", [{"spec": {"stop": "Cancel"}}, {"spec": {"suspend": True}}, {"metadata": {"labels": {"a": "b"}}}]
)
def test_it_changes_no_spec(reporter: httpx.Client, pair: Pair, path: Any, whose: str, change: Object) -> None:
    name = pair.name if whose == "own" else pair.other
    assert patched(reporter, path(name), change).status_code == 403
    through_status = patched(reporter, path(name, "status"), change | {"status": {"run": {"message": "x"}}})
    if through_status.is_success:
        document = through_status.json()
        assert document["spec"].get("stop", "") == ""
        assert not document["spec"].get("suspend")
        assert "a" not in document["metadata"].get("labels", {})


def test_it_reads_and_makes_nothing_else(reporter: httpx.Client, service: InstalledService, pair: Pair) -> None:
    namespace = service.namespace
    reads = [
        OPTIMIZATION_JOBS.path(namespace),
        OPTIMIZATION_JOBS.path(),
        OPTIMIZATION_JOBS.path("default", "x"),
        SECRETS.path(namespace),
        SECRETS.path(),
        PODS.path(namespace),
        JOBS.path(namespace),
        f"/api/v1/namespaces/{namespace}/configmaps",
        f"/api/v1/namespaces/{namespace}/pods/{pair.pod['metadata']['name']}",
        f"/api/v1/namespaces/{namespace}/pods/{pair.pod['metadata']['name']}/log",
        "/api/v1/nodes",
        "/api/v1/namespaces",
    ]
    assert {path: reporter.get(path).status_code for path in reads} == dict.fromkeys(reads, 403)
    secrets = [f"{SECRETS.path(namespace)}/{name}" for name in (f"{service.name}-model-keys", "dspy-service-s3")]
    assert {reporter.get(path).status_code for path in secrets} == {403}
    writes = [
        (OPTIMIZATION_JOBS.path(namespace), {"metadata": {"name": "made"}}),
        (PODS.path(namespace), {"metadata": {"name": "made"}}),
        (JOBS.path(namespace), {"metadata": {"name": "made"}}),
        (f"/api/v1/namespaces/{namespace}/serviceaccounts/{service.name}-api/token", {"spec": {}}),
        (f"/api/v1/namespaces/{namespace}/pods/{pair.pod['metadata']['name']}/eviction", {}),
    ]
    assert {reporter.post(path, json=body).status_code for path, body in writes} == {403}
    assert reporter.delete(OPTIMIZATION_JOBS.path(namespace, pair.name)).status_code == 403


def test_the_http_api_gives_it_nothing(
    reporter: httpx.Client, service: InstalledService, pair: Pair, model: Model
) -> None:
    headers = {"Authorization": reporter.headers["Authorization"]}
    assert service.http.get("/jobs", headers=headers).status_code in (401, 403)
    assert service.http.delete(f"/jobs/{pair.other}", headers=headers).status_code in (401, 403)


def test_a_token_that_no_pod_holds_writes_nothing(
    service: InstalledService, account: str, pair: Pair, path: Any, kubectl: Kubectl
) -> None:
    token = kubectl.run("create", "token", account).strip()
    with as_token(service.kubeconfig, token) as client:
        answer = patched(client, path(pair.name, "status"), {"status": {"run": {"message": "x"}}})
    assert answer.status_code in DENIED, answer.text


def test_a_pod_of_an_earlier_attempt_writes_no_more(
    service: InstalledService, jobs: ClusterJobs, account: str, api: KubeHttp, kubectl: Kubectl, model: Model, path: Any
) -> None:
    """It ended by itself and is still there, so that its token is still good."""
    model.latency = 0.5
    name = jobs.create(spread(model, 300))
    try:
        pod = jobs.runs(name)
        token = bound_token(api, service.namespace, account, pod)
        kubectl.terminate(pod["metadata"]["name"], "optimizer")
        jobs.runs(name, attempt=2)
        with as_token(service.kubeconfig, token) as client:
            assert ok(client.get(path(name)))["status"]["attempt"]["number"] == 2
            answer = patched(client, path(name, "status"), {"status": {"run": {"message": "late"}}})
        assert answer.status_code == 422, answer.text
        assert "not the recorded attempt" in answer.text
    finally:
        model.latency = 0.0
        jobs.remove(name)


@pytest.mark.parametrize("name", ["default", "the runner's"])
def test_from_another_namespace_nothing(
    service: InstalledService, account: str, api: KubeHttp, kubectl: Kubectl, pair: Pair, path: Any, name: str
) -> None:
    elsewhere = "dspy-service-elsewhere"
    chosen = "default" if name == "default" else account
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": elsewhere}})
    there = Kubectl(kubectl.kubeconfig, elsewhere, kubectl.home)
    if name == "default":
        await_default_account(api, elsewhere)
    else:
        there.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": chosen}})
    token = there.run("create", "token", chosen).strip()
    with as_token(service.kubeconfig, token) as client:
        assert patched(client, path(pair.name, "status"), {"status": {"run": {"message": "x"}}}).status_code == 403
        assert patched(client, path(pair.name), {"spec": {"stop": "Cancel"}}).status_code == 403
        reads = [path(pair.name), OPTIMIZATION_JOBS.path(service.namespace), SECRETS.path(service.namespace)]
        assert {client.get(each).status_code for each in reads} == {403}
    headers = {"Authorization": f"Bearer {token}"}
    assert service.http.get("/jobs", headers=headers).status_code in (401, 403)
