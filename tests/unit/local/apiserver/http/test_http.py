"""The HTTP face: who may do what, bodies that are none, logs, and the end of a watch."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deep_json import DEPTHS, nested
from dspy_service_core.kube import errors
from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.config import from_kubeconfig
from dspy_service_core.kube.http_transport import HttpTransport
from dspy_service_core.kube.resources import CONFIG_MAPS, CUSTOM_RESOURCE_DEFINITIONS, OPTIMIZATION_JOBS, PODS, Resource
from dspy_service_local.apiserver import LogRequest
from embedded_cluster import RunningCluster, running_cluster
from kube_http import TABLE
from waiting import until
from widgets import DEFINITION, collection, widget

WIDGETS = Resource("testing.dspy-service.io", "v1", "widgets", "Widget")
_JOB = "/apis/dspy-service.io/v1alpha1/namespaces/default/optimizationjobs"
_ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_STAND_IN = {
    "metadata": {"name": "optimizationjobs.dspy-service.io"},
    "spec": {
        "group": "dspy-service.io",
        "scope": "Namespaced",
        "names": {"plural": "optimizationjobs", "kind": "OptimizationJob"},
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {"type": "object", "properties": {"spec": _ANYTHING, "status": _ANYTHING}}
                },
            }
        ],
    },
}


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[RunningCluster]:
    async with running_cluster(tmp_path / "cluster", crds=False) as started:
        await started.cluster.client.create(CUSTOM_RESOURCE_DEFINITIONS, DEFINITION)
        await started.cluster.client.create(CUSTOM_RESOURCE_DEFINITIONS, _STAND_IN)
        yield started


def _client(running: RunningCluster, token: str | None = None) -> httpx.AsyncClient:
    context = ssl.create_default_context(cafile=str(running.authority))
    headers = {"authorization": f"Bearer {token or running.token}"}
    return httpx.AsyncClient(base_url=running.url, verify=context, headers=headers, trust_env=False)


@pytest.fixture
async def admin(running: RunningCluster) -> AsyncIterator[httpx.AsyncClient]:
    async with _client(running) as client:
        yield client


@pytest.fixture
async def pod(running: RunningCluster) -> AsyncIterator[httpx.AsyncClient]:
    """The current attempt's pod of job `mine`."""
    client = running.cluster.client
    for name in ("mine", "other"):
        await client.create(OPTIMIZATION_JOBS, {"metadata": {"name": name}, "spec": {"stop": ""}}, "default")
        status = {"phase": "Validating", "attempt": {"number": 1, "podUID": "uid-1"}}
        await client.patch(OPTIMIZATION_JOBS, name, {"status": status}, "default", subresource="status")
    token = running.cluster.tokens.mint(pod_uid="uid-1", namespace="default", job="mine")
    async with _client(running, token) as opened:
        yield opened


async def _merge(client: httpx.AsyncClient, path: str, body: Any) -> httpx.Response:
    return await client.patch(path, json=body, headers={"content-type": "application/merge-patch+json"})


async def test_a_pod_reads_its_job_and_reports_its_run(pod: httpx.AsyncClient) -> None:
    assert (await pod.get(f"{_JOB}/mine")).status_code == 200
    reported = await _merge(pod, f"{_JOB}/mine/status", {"status": {"run": {"stage": "Running"}}})
    assert reported.status_code == 200
    assert reported.json()["status"]["run"] == {"stage": "Running"}
    assert reported.json()["spec"] == {"stop": ""}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{_JOB}/other"),
        ("GET", _JOB),
        ("GET", f"{_JOB}/mine?watch=true"),
        ("PATCH", f"{_JOB}/mine"),
        ("PATCH", f"{_JOB}/other/status"),
        ("PUT", f"{_JOB}/mine/status"),
        ("DELETE", f"{_JOB}/mine"),
        ("POST", _JOB),
        ("GET", "/api/v1/namespaces/default/secrets"),
        ("GET", "/api/v1/namespaces/default/secrets/mine"),
        ("GET", "/apis/batch/v1/namespaces/default/jobs/mine"),
        ("GET", "/apis"),
        ("GET", "/openapi/v3"),
        ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"),
    ],
)
async def test_a_pod_may_do_nothing_else(pod: httpx.AsyncClient, method: str, path: str) -> None:
    headers = {"content-type": "application/merge-patch+json"}
    response = await pod.request(method, path, json={"status": {"run": {}}}, headers=headers)
    assert response.status_code == 403, response.text
    assert response.json()["reason"] == "Forbidden"


@pytest.mark.parametrize(
    "status",
    [
        {"phase": "Succeeded"},
        {"attempt": {"podUID": "uid-1", "number": 2}},
        {"attempt": None},
        {"conditions": []},
        {"run": {}, "extra": 1},
        None,
    ],
)
async def test_a_pod_changes_its_own_part_alone(running: RunningCluster, pod: httpx.AsyncClient, status: Any) -> None:
    before = await running.cluster.client.get(OPTIMIZATION_JOBS, "mine", "default")
    response = await _merge(pod, f"{_JOB}/mine/status", {"status": status})
    assert response.status_code == 422, response.text
    assert await running.cluster.client.get(OPTIMIZATION_JOBS, "mine", "default") == before


async def test_a_pod_reaches_no_metadata_through_the_status(running: RunningCluster, pod: httpx.AsyncClient) -> None:
    body = {
        "metadata": {"labels": {"a": "b"}, "finalizers": ["x/y"]},
        "spec": {"stop": "Cancel"},
        "status": {"run": {}},
    }
    assert (await _merge(pod, f"{_JOB}/mine/status", body)).status_code == 200
    job = await running.cluster.client.get(OPTIMIZATION_JOBS, "mine", "default")
    assert "labels" not in job["metadata"]
    assert "finalizers" not in job["metadata"]
    assert job["spec"] == {"stop": ""}


async def test_a_replaced_pod_reports_no_more(running: RunningCluster, pod: httpx.AsyncClient) -> None:
    attempt = {"status": {"attempt": {"number": 2, "podUID": "uid-2"}}}
    await running.cluster.client.patch(OPTIMIZATION_JOBS, "mine", attempt, "default", subresource="status")
    assert (await _merge(pod, f"{_JOB}/mine/status", {"status": {"run": {"stage": "x"}}})).status_code == 422
    running.cluster.tokens.revoke("uid-1")
    assert (await pod.get(f"{_JOB}/mine")).status_code == 401


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", "Basic abc", "Bearer \xff"])
async def test_strangers_learn_nothing(running: RunningCluster, authorization: str) -> None:
    async with _client(running) as client:
        headers = {"authorization": authorization.encode("latin-1")}
        for path in ("/api", "/api/v1/secrets", "/openapi/v3", "/no/such/path"):
            response = await client.get(path, headers=headers)
            assert response.status_code == 401, path
        assert (await client.get("/healthz", headers=headers)).text == "ok"


def _metadata(**more: Any) -> bytes:
    return json.dumps({"metadata": {"name": "a"} | more, "spec": {"size": 1}}).encode()


@pytest.mark.parametrize(
    ("method", "path", "content", "content_type", "code"),
    [
        ("POST", "", b"{", "application/json", 400),
        ("POST", "", b"[]", "application/json", 400),
        ("POST", "", b"3", "application/json", 400),
        ("POST", "", b'{"metadata": []}', "application/json", 400),
        ("POST", "", b'{"metadata": {"name": 3}}', "application/json", 422),
        ("POST", "", b'{"metadata": {"name": {}}}', "application/json", 422),
        ("POST", "", b'{"metadata": {"name": "a"}, "spec": 3}', "application/json", 422),
        ("POST", "", b'{"metadata": {"name": "a"}, "spec": null}', "application/json", 422),
        ("POST", "", _metadata(labels=3), "application/json", 422),
        (
            "POST",
            "",
            _metadata(ownerReferences=3),
            "application/json",
            422,
        ),
        (
            "POST",
            "",
            _metadata(ownerReferences=[{}]),
            "application/json",
            422,
        ),
        ("POST", "", _metadata(finalizers=[3]), "application/json", 422),
        ("POST", "", _metadata(generateName=3), "application/json", 201),
        ("POST", "", b"{}", "application/vnd.kubernetes.protobuf", 400),
        ("POST", "/w", b"{}", "application/json", 405),
        ("POST", "?dryRun=Some", b"{}", "application/json", 400),
        ("POST", "?fieldValidation=Maybe", b"{}", "application/json", 400),
        ("POST", "?fieldValidation=Strict", b'{"a": 1, "a": 2}', "application/json", 400),
        ("PUT", "", b"{}", "application/json", 405),
        ("PUT", "/w", b"3", "application/json", 422),
        ("PATCH", "/w", b"{}", "text/plain", 415),
        ("PATCH", "/w", b"[]", "application/merge-patch+json", 400),
        ("PATCH", "/w", b"{}", "application/json-patch+json", 400),
        ("PATCH", "/w", b'{"metadata": null}', "application/merge-patch+json", 200),
        ("PATCH", "/w", b'{"metadata": 3}', "application/merge-patch+json", 400),
        ("PATCH", "/w", b"a: [", "application/apply-patch+yaml", 400),
        ("DELETE", "/w/status", b"", "application/json", 405),
        ("DELETE", "/w", b'{"propagationPolicy": "Maybe"}', "application/json", 400),
        ("DELETE", "/w", b'{"gracePeriodSeconds": "x"}', "application/json", 400),
        ("GET", "?limit=x", b"", "", 400),
        ("GET", "?continue=x", b"", "", 400),
        ("GET", "?resourceVersion=x", b"", "", 400),
        ("GET", "?watch=1&resourceVersion=x", b"", "", 400),
        ("GET", "?watch=1&timeoutSeconds=x", b"", "", 400),
        ("GET", "?resourceVersion=999999999", b"", "", 504),
        ("OPTIONS", "", b"", "", 405),
        ("GET", "/w/log", b"", "", 404),
        ("GET", "/w/status/more", b"", "", 404),
    ],
)
async def test_odd_requests_get_their_answer(
    admin: httpx.AsyncClient, method: str, path: str, content: bytes, content_type: str, code: int
) -> None:
    assert (await admin.post(collection("default"), json=widget("w"))).status_code == 201
    response = await admin.request(
        method, collection("default") + path, content=content, headers={"content-type": content_type}
    )
    assert response.status_code == code, response.text
    if code >= 400:
        assert response.json()["kind"] == "Status"


async def test_bodies_are_bounded(admin: httpx.AsyncClient) -> None:
    huge = await admin.post(collection("default"), json=widget("a", note="x" * 3_200_000))
    assert (huge.status_code, huge.json()["reason"]) == (413, "RequestEntityTooLarge")
    config_map = {"metadata": {"name": "big"}, "data": {"x": "y" * 1_600_000}}
    assert (await admin.post("/api/v1/namespaces/default/configmaps", json=config_map)).status_code == 413


async def test_a_long_list_is_whole(running: RunningCluster, admin: httpx.AsyncClient) -> None:
    client = running.cluster.client
    for number in range(1100):
        await client.create(CONFIG_MAPS, {"metadata": {"name": f"c-{number:04}"}}, "kube-system")
    listed = (await admin.get("/api/v1/namespaces/kube-system/configmaps")).json()
    names = [item["metadata"]["name"] for item in listed["items"] if item["metadata"]["name"].startswith("c-")]
    assert names == [f"c-{number:04}" for number in range(1100)]
    assert int(listed["metadata"]["resourceVersion"]) <= running.cluster.operations.storage.revision


class _Endless:
    """A log that is followed until its reader leaves."""

    def __init__(self) -> None:
        self.left = asyncio.Event()

    async def read(self, request: LogRequest) -> AsyncIterator[bytes]:
        try:
            yield f"{request.container} {request.follow} {request.tail_lines}\n".encode()
            await asyncio.Event().wait()
        finally:
            self.left.set()


async def test_a_followed_log_ends_with_its_reader(running: RunningCluster, admin: httpx.AsyncClient) -> None:
    logs = _Endless()
    running.cluster.set_logs(logs)
    containers = [{"name": "main", "image": "x"}]
    sidecars = [{"name": "reporter", "image": "x", "restartPolicy": "Always"}]
    spec = {"containers": containers, "initContainers": sidecars, "nodeName": "local"}
    await running.cluster.client.create(PODS, {"metadata": {"name": "p"}, "spec": spec}, "default")
    status = {"status": {"phase": "Running"}}
    await running.cluster.client.patch(PODS, "p", status, "default", subresource="status")
    path = "/api/v1/namespaces/default/pods/p/log"
    assert "choose one of: [main]" in (await admin.get(path)).json()["message"]
    query = {"container": "reporter", "follow": "true", "tailLines": "5"}
    async with admin.stream("GET", path, params=query) as response:
        assert await anext(response.aiter_lines()) == "reporter True 5"
    async with asyncio.timeout(10):
        await logs.left.wait()


async def test_a_watcher_that_leaves_is_forgotten(running: RunningCluster, admin: httpx.AsyncClient) -> None:
    hub = running.cluster._hub
    async with admin.stream("GET", f"{collection('default')}?watch=true") as response:
        assert response.status_code == 200
        assert len(hub._watchers["widgets.testing.dspy-service.io"]) == 1

    async def forgotten() -> bool:
        return not hub._watchers["widgets.testing.dspy-service.io"]

    await until(forgotten)


async def test_the_shared_client_speaks_to_it(running: RunningCluster) -> None:
    client = KubeClient(HttpTransport(from_kubeconfig(running.kubeconfig)))
    made = await client.create(WIDGETS, widget("a"), "default")
    with pytest.raises(errors.AlreadyExists):
        await client.create(WIDGETS, widget("a"), "default")
    watching = client.watch(WIDGETS, "default", resource_version=made["metadata"]["resourceVersion"])
    await client.patch(WIDGETS, "a", {"status": {"phase": "x"}}, "default", subresource="status")
    event = await anext(watching)
    assert event.object["status"] == {"phase": "x"}
    await watching.aclose()
    with pytest.raises(errors.Expired):
        await anext(client.watch(WIDGETS, "default", resource_version="1"))
    await client.delete(WIDGETS, "a", "default")
    await client.close()


def test_the_kubeconfig_is_private(tmp_path: Path) -> None:
    async def modes() -> list[int]:
        async with running_cluster(tmp_path / "cluster", crds=False) as started:
            folder = started.cluster.folder
            paths = (started.kubeconfig, folder / "pki" / "admin.token", folder / "pki" / "server.pem")
            return [path.stat().st_mode & 0o777 for path in paths]

    assert asyncio.run(modes()) == [0o600] * 3


_DEEP = b'{"apiVersion":"dspy-service.io/v1alpha1","kind":"OptimizationJob","metadata":{"name":"deep"},"spec":%b}'
_MERGE, _APPLY = "application/merge-patch+json", "application/apply-patch+yaml"


def _block(depth: int) -> bytes:
    """YAML that nests without brackets."""
    return b"spec:\n  a: " + b"- " * depth + b"1"


@pytest.mark.parametrize("depth", [240, *DEPTHS])
async def test_what_is_nested_too_deeply_is_refused_in_every_form(admin: httpx.AsyncClient, depth: int) -> None:
    spec = {"metadata": {"name": "plain"}, "spec": {"a": 1}}
    assert (await admin.post(_JOB, json=spec)).status_code == 201
    value = b'{"a":%b}' % nested(depth)
    head = b"apiVersion: dspy-service.io/v1alpha1\nkind: OptimizationJob\nmetadata: {name: deep}\n"
    writes = [
        ("POST", _JOB, "application/json", _DEEP % value),
        ("POST", f"{_JOB}?fieldValidation=Strict", "application/json", _DEEP % value),
        ("PATCH", f"{_JOB}/plain", _MERGE, b'{"spec":%b}' % value),
        ("PATCH", f"{_JOB}/plain/status", _MERGE, b'{"status":%b}' % value),
        (
            "PATCH",
            f"{_JOB}/plain",
            "application/json-patch+json",
            b'[{"op":"add","path":"/spec/b","value":%b}]' % value,
        ),
        ("PATCH", f"{_JOB}/deep?fieldManager=x", _APPLY, _DEEP % value),
        ("PATCH", f"{_JOB}/deep?fieldManager=x", _APPLY, head + _block(depth)),
    ]
    for method, path, media_type, body in writes:
        answer = await admin.request(method, path, content=body, headers={"content-type": media_type})
        assert answer.status_code == 400, (path, media_type, answer.text[:200])
    listed = (await admin.get(_JOB)).json()["items"]
    assert [(item["metadata"]["name"], item["spec"]) for item in listed] == [("plain", {"a": 1})]


async def test_no_patch_makes_an_object_that_is_nested_too_deeply(admin: httpx.AsyncClient) -> None:
    assert (await admin.post(_JOB, json={"metadata": {"name": "plain"}, "spec": {"a": {}}})).status_code == 201
    innermost = "/spec/a" + "/0/a" * 74 + "/0"
    for path, expected in (("/spec/a", 200), (f"{innermost}/b", 400)):
        content = b'[{"op":"add","path":"%b","value":%b}]' % (path.encode(), nested(150))
        headers = {"content-type": "application/json-patch+json"}
        assert (await admin.patch(f"{_JOB}/plain", content=content, headers=headers)).status_code == expected
    assert len((await admin.get(_JOB, headers={"accept": TABLE})).json()["rows"]) == 1


async def test_yaml_stands_for_no_more_than_it_says(admin: httpx.AsyncClient) -> None:
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12))]
    content = "spec:\n  " + "\n  ".join(lines)
    answer = await admin.patch(f"{_JOB}/x?fieldManager=x", content=content, headers={"content-type": _APPLY})
    assert (answer.status_code, "aliases" in answer.text) == (400, True)
