"""The ends of objects: finalizers, preconditions, dependents, namespaces."""

from typing import Any
from uuid import uuid4

import pytest

from kube_http import JSON_PATCH, KubeHttp, ok, refused
from waiting import wait_for
from widgets import API_VERSION, collection, widget

_COLLECTED = 150
"""A real garbage collector looks for new kinds twice a minute, and waits for their caches before it goes on."""

pytestmark = pytest.mark.usefixtures("widgets")


def _gone(http: KubeHttp, path: str) -> bool:
    return http.get(path).status_code == 404


def test_a_deletion_is_confirmed(http: KubeHttp, namespace: str) -> None:
    made = ok(http.post(collection(namespace), widget("a")))
    status = ok(http.delete(f"{collection(namespace)}/a"))
    assert (status["kind"], status["status"]) == ("Status", "Success")
    assert status["details"]["uid"] == made["metadata"]["uid"]
    assert _gone(http, f"{collection(namespace)}/a")


def test_finalizers_hold_an_object(http: KubeHttp, namespace: str) -> None:
    path = f"{collection(namespace)}/a"
    body = widget("a")
    body["metadata"]["finalizers"] = ["example.com/hold"]
    ok(http.post(collection(namespace), body))
    ok(http.delete(path))
    held = ok(http.get(path))
    assert held["metadata"]["deletionTimestamp"]
    assert held["metadata"]["generation"] == 2
    more = {"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}}
    refused(http.patch(path, more), 422, "Invalid")
    ok(http.patch(path, [{"op": "remove", "path": "/metadata/finalizers"}], JSON_PATCH))
    assert _gone(http, path)


def test_a_deletion_may_name_the_object_it_means(http: KubeHttp, namespace: str) -> None:
    path = f"{collection(namespace)}/a"
    made = ok(http.post(collection(namespace), widget("a")))
    refused(http.delete(path, {"preconditions": {"uid": "00000000-0000-0000-0000-000000000000"}}), 409, "Conflict")
    refused(http.delete(path, {"preconditions": {"resourceVersion": "1"}}), 409, "Conflict")
    ok(http.delete(path, {"preconditions": {"uid": made["metadata"]["uid"]}}))


def test_a_collection_is_deleted_by_selector(http: KubeHttp, namespace: str) -> None:
    ok(http.post(collection(namespace), widget("a", labels={"team": "x"})))
    ok(http.post(collection(namespace), widget("b", labels={"team": "y"})))
    ok(http.delete(collection(namespace), labelSelector="team=x"))
    assert _gone(http, f"{collection(namespace)}/a")
    assert not _gone(http, f"{collection(namespace)}/b")


def _owned(owner: dict[str, Any], name: str, **more: object) -> dict[str, Any]:
    metadata = owner["metadata"]
    reference = {"apiVersion": API_VERSION, "kind": "Widget", "name": metadata["name"], "uid": metadata["uid"]} | more
    return {"metadata": {"name": name, "ownerReferences": [reference]}, "data": {"a": "b"}}


def _known_to_the_collector(http: KubeHttp, namespace: str) -> None:
    """It watches each kind apart: what it does about one ConfigMap shows that it knows of those made before."""
    nobody = {"metadata": {"name": "nobody", "uid": str(uuid4())}}
    ok(http.post(_config_maps(namespace), _owned(nobody, "canary")))
    wait_for(lambda: _gone(http, f"{_config_maps(namespace)}/canary"), timeout=_COLLECTED)


def _config_maps(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps"


@pytest.mark.usefixtures("controllers")
def test_dependents_follow_their_owner(http: KubeHttp, namespace: str) -> None:
    owner = ok(http.post(collection(namespace), widget("a")))
    ok(http.post(_config_maps(namespace), _owned(owner, "child")))
    ok(http.delete(f"{collection(namespace)}/a", {"propagationPolicy": "Background"}))
    wait_for(lambda: _gone(http, f"{_config_maps(namespace)}/child"), timeout=_COLLECTED)


@pytest.mark.usefixtures("controllers")
def test_dependents_of_nobody_are_collected(http: KubeHttp, namespace: str) -> None:
    owner = ok(http.post(collection(namespace), widget("a")))
    ok(http.delete(f"{collection(namespace)}/a"))
    ok(http.post(_config_maps(namespace), _owned(owner, "late")))
    wait_for(lambda: _gone(http, f"{_config_maps(namespace)}/late"), timeout=_COLLECTED)


@pytest.mark.usefixtures("controllers")
def test_a_foreground_deletion_waits_for_dependents(http: KubeHttp, namespace: str) -> None:
    owner = ok(http.post(collection(namespace), widget("a")))
    child = _owned(owner, "child", blockOwnerDeletion=True)
    child["metadata"]["finalizers"] = ["example.com/hold"]
    ok(http.post(_config_maps(namespace), child))
    _known_to_the_collector(http, namespace)
    ok(http.delete(f"{collection(namespace)}/a", {"propagationPolicy": "Foreground"}))
    path = f"{_config_maps(namespace)}/child"
    wait_for(lambda: "deletionTimestamp" in ok(http.get(path))["metadata"], timeout=_COLLECTED)
    assert "foregroundDeletion" in ok(http.get(f"{collection(namespace)}/a"))["metadata"]["finalizers"]
    ok(http.patch(path, {"metadata": {"finalizers": None}}))
    wait_for(lambda: _gone(http, f"{collection(namespace)}/a"), timeout=_COLLECTED)


@pytest.mark.usefixtures("controllers")
def test_orphans_stay(http: KubeHttp, namespace: str) -> None:
    owner = ok(http.post(collection(namespace), widget("a")))
    ok(http.post(_config_maps(namespace), _owned(owner, "child")))
    _known_to_the_collector(http, namespace)
    ok(http.delete(f"{collection(namespace)}/a", {"propagationPolicy": "Orphan"}))
    wait_for(lambda: _gone(http, f"{collection(namespace)}/a"), timeout=_COLLECTED)
    assert "ownerReferences" not in ok(http.get(f"{_config_maps(namespace)}/child"))["metadata"]


@pytest.mark.usefixtures("controllers")
def test_a_namespace_ends_with_all_that_is_in_it(http: KubeHttp, namespace: str) -> None:
    ok(http.post(collection(namespace), widget("a")))
    ok(http.delete(f"/api/v1/namespaces/{namespace}"))
    wait_for(lambda: _gone(http, f"/api/v1/namespaces/{namespace}"), timeout=_COLLECTED)
    assert _gone(http, f"{collection(namespace)}/a")


@pytest.mark.usefixtures("controllers")
def test_an_ending_namespace_takes_nothing_new(http: KubeHttp, namespace: str) -> None:
    body = widget("a")
    body["metadata"]["finalizers"] = ["example.com/hold"]
    ok(http.post(collection(namespace), body))
    ok(http.delete(f"/api/v1/namespaces/{namespace}"))
    wait_for(lambda: ok(http.get(f"/api/v1/namespaces/{namespace}"))["status"]["phase"] == "Terminating")
    refused(http.post(collection(namespace), widget("b")), 403, "Forbidden")
    ok(http.patch(f"{collection(namespace)}/a", {"metadata": {"finalizers": None}}))
    wait_for(lambda: _gone(http, f"/api/v1/namespaces/{namespace}"), timeout=_COLLECTED)
