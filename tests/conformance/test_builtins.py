"""The built-in kinds, as far as api, operator and runner use them."""

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from kubernetes import client

from accounts import await_default_account
from kube_http import KubeHttp, ok, refused


def _path(namespace: str, plural: str, group: str = "api/v1") -> str:
    return f"/{group}/namespaces/{namespace}/{plural}"


@pytest.fixture
def default_account(http: KubeHttp, namespace: str) -> None:
    await_default_account(http, namespace)


def test_a_secret_takes_text_and_gives_base64(http: KubeHttp, namespace: str) -> None:
    body = {"metadata": {"name": "s"}, "stringData": {"key": "täxt"}, "data": {"other": "eA=="}}
    secret = ok(http.post(_path(namespace, "secrets"), body))
    assert secret["type"] == "Opaque"
    assert secret["data"] == {"key": base64.b64encode("täxt".encode()).decode(), "other": "eA=="}
    assert "stringData" not in secret


def test_a_secret_must_hold_base64(http: KubeHttp, namespace: str) -> None:
    body = {"metadata": {"name": "s"}, "data": {"key": "not base64!"}}
    refused(http.post(_path(namespace, "secrets"), body), 400, "BadRequest")


@pytest.mark.parametrize("plural", ["configmaps", "secrets"])
def test_keys_are_file_names(http: KubeHttp, namespace: str, plural: str) -> None:
    body = {"metadata": {"name": "x"}, "data": {"sl/ash": "eA=="}}
    refused(http.post(_path(namespace, plural), body), 422, "Invalid")


def test_immutable_data_stays(http: KubeHttp, namespace: str) -> None:
    path = _path(namespace, "configmaps")
    ok(http.post(path, {"metadata": {"name": "c"}, "data": {"a": "1"}, "immutable": True}))
    refused(http.patch(f"{path}/c", {"data": {"a": "2"}}), 422, "Invalid")
    ok(http.patch(f"{path}/c", {"metadata": {"labels": {"x": "y"}}}))


def _job(name: str) -> dict[str, Any]:
    container = {"name": "main", "image": "example.com/none", "command": ["true"]}
    template = {"metadata": {"labels": {"mine": "yes"}}, "spec": {"restartPolicy": "Never", "containers": [container]}}
    return {"metadata": {"name": name}, "spec": {"template": template, "suspend": True, "backoffLimit": 0}}


def test_a_job_selects_its_own_pods(http: KubeHttp, namespace: str) -> None:
    job = ok(http.post(_path(namespace, "jobs", "apis/batch/v1"), _job("j")))
    uid, labels = job["metadata"]["uid"], job["spec"]["template"]["metadata"]["labels"]
    assert labels["mine"] == "yes"
    assert labels["batch.kubernetes.io/job-name"] == "j"
    assert labels["batch.kubernetes.io/controller-uid"] == uid
    assert job["spec"]["selector"]["matchLabels"] == {"batch.kubernetes.io/controller-uid": uid}
    assert (job["spec"]["completions"], job["spec"]["parallelism"], job["spec"]["backoffLimit"]) == (1, 1, 0)
    assert job["metadata"]["generation"] == 1


def test_a_jobs_template_stays_but_suspend_changes(http: KubeHttp, namespace: str) -> None:
    path = _path(namespace, "jobs", "apis/batch/v1")
    ok(http.post(path, _job("j")))
    # while a Job is suspended, a real server lets labels and a few scheduling fields change, never the command
    command = [{"name": "main", "image": "example.com/none", "command": ["false"]}]
    changed = {"spec": {"template": {"spec": {"containers": command}}}}
    refused(http.patch(f"{path}/j", changed), 422, "Invalid")
    assert ok(http.patch(f"{path}/j", {"spec": {"suspend": False}}))["metadata"]["generation"] == 2
    refused(http.post(path, _job("k") | {"spec": {}}), 422, "Invalid")


def test_a_jobs_pods_are_kept_unless_the_client_says(http: KubeHttp, namespace: str) -> None:
    path = _path(namespace, "jobs", "apis/batch/v1")
    ok(http.post(path, _job("j")))
    answer = ok(http.delete(f"{path}/j", {"propagationPolicy": "Background"}))
    assert answer["status"] == "Success"
    refused(http.get(f"{path}/j"), 404, "NotFound")


@pytest.mark.usefixtures("controllers", "default_account")
def test_a_pod_begins_pending(http: KubeHttp, namespace: str) -> None:
    spec = {"containers": [{"name": "main", "image": "example.com/none"}], "automountServiceAccountToken": False}
    spec |= {"schedulerName": "nobody"}
    pod = ok(http.post(_path(namespace, "pods"), {"metadata": {"name": "p"}, "spec": spec}))
    assert pod["status"]["phase"] == "Pending"
    assert pod["spec"]["restartPolicy"] == "Always"
    listed = ok(http.get(_path(namespace, "pods"), fieldSelector="status.phase=Pending"))
    assert [item["metadata"]["name"] for item in listed["items"]] == ["p"]
    assert ok(http.get(_path(namespace, "pods"), fieldSelector="status.phase=Running"))["items"] == []
    status = {"phase": "Failed", "conditions": [{"type": "DisruptionTarget", "status": "True"}]}
    assert ok(http.patch(f"{_path(namespace, 'pods')}/p/status", {"status": status}))["status"]["phase"] == "Failed"
    ok(http.delete(f"{_path(namespace, 'pods')}/p"))
    refused(http.get(f"{_path(namespace, 'pods')}/p"), 404, "NotFound")


def test_events_are_found_by_what_they_are_about(http: KubeHttp, namespace: str) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    for name in ("one", "two"):
        about = {"kind": "Widget", "name": name, "namespace": namespace, "uid": f"uid-{name}"}
        ok(
            http.post(
                _path(namespace, "events"),
                {
                    "metadata": {"generateName": "event-"},
                    "involvedObject": about,
                    "reason": "Tested",
                    "message": f"about {name}",
                    "type": "Normal",
                    "firstTimestamp": now,
                    "lastTimestamp": now,
                    "source": {"component": "tests"},
                },
            )
        )
    selector = "involvedObject.name=two,involvedObject.uid=uid-two"
    found = ok(http.get(_path(namespace, "events"), fieldSelector=selector))["items"]
    assert [event["message"] for event in found] == ["about two"]


def test_a_lease_has_one_holder(http: KubeHttp, namespace: str) -> None:
    path = _path(namespace, "leases", "apis/coordination.k8s.io/v1")
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    spec = {"holderIdentity": "one", "leaseDurationSeconds": 15, "acquireTime": now, "renewTime": now}
    lease = ok(http.post(path, {"metadata": {"name": "leader"}, "spec": spec}))
    assert lease["spec"]["renewTime"] == now
    ok(http.put(f"{path}/leader", lease | {"spec": spec | {"holderIdentity": "two"}}))
    refused(http.put(f"{path}/leader", lease | {"spec": spec | {"holderIdentity": "three"}}), 409, "Conflict")


@pytest.mark.usefixtures("controllers", "default_account")
def test_a_namespace_is_furnished(api: client.ApiClient, namespace: str) -> None:
    core = client.CoreV1Api(api)
    assert core.read_namespaced_service_account("default", namespace).metadata.name == "default"
    assert core.read_namespace(namespace).metadata.labels["kubernetes.io/metadata.name"] == namespace


def test_the_official_client_knows_the_kinds(api: client.ApiClient, namespace: str) -> None:
    core, batch = client.CoreV1Api(api), client.BatchV1Api(api)
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "c"}, "data": {"a": "b"}})
    assert core.read_namespaced_config_map("c", namespace).data == {"a": "b"}
    batch.create_namespaced_job(namespace, _job("j"))
    assert [job.metadata.name for job in batch.list_namespaced_job(namespace).items] == ["j"]
    assert batch.read_namespaced_job("j", namespace).spec.suspend is True
