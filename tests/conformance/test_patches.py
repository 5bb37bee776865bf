"""The patch formats: merge, JSON, strategic merge, and server-side apply."""

from typing import Any

import httpx
import pytest

from kube_http import APPLY, JSON_PATCH, MERGE, STRATEGIC, KubeHttp, ok, refused
from widgets import API_VERSION, collection, widget

pytestmark = pytest.mark.usefixtures("widgets")


def test_merge_patches_replace_lists_and_drop_nulls(http: KubeHttp, namespace: str) -> None:
    path = f"{collection(namespace)}/a"
    ok(http.post(collection(namespace), widget("a", tags=["x"], marks={"a": "1", "b": "2"})))
    spec = ok(http.patch(path, {"spec": {"tags": ["y"], "marks": {"a": None, "c": "3"}}}))["spec"]
    assert spec["tags"] == ["y"]
    assert spec["marks"] == {"b": "2", "c": "3"}


def test_a_merge_patch_may_name_the_version_it_knows(http: KubeHttp, namespace: str) -> None:
    path = f"{collection(namespace)}/a"
    version = ok(http.post(collection(namespace), widget("a")))["metadata"]["resourceVersion"]
    known = {"metadata": {"resourceVersion": version}, "spec": {"note": "one"}}
    ok(http.patch(path, known))
    refused(http.patch(path, known | {"spec": {"note": "two"}}), 409, "Conflict")


def test_json_patches_test_and_change(http: KubeHttp, namespace: str) -> None:
    path = f"{collection(namespace)}/a"
    version = ok(http.post(collection(namespace), widget("a", tags=["x"])))["metadata"]["resourceVersion"]
    operations = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": version},
        {"op": "add", "path": "/spec/tags/-", "value": "y"},
        {"op": "replace", "path": "/spec/note", "value": "changed"},
        {"op": "add", "path": "/metadata/finalizers", "value": ["example.com/hold"]},
    ]
    patched = ok(http.patch(path, operations, JSON_PATCH))
    assert patched["spec"]["tags"] == ["x", "y"]
    assert patched["metadata"]["finalizers"] == ["example.com/hold"]
    refused(http.patch(path, operations, JSON_PATCH), 422, "Invalid")
    released = ok(http.patch(path, [{"op": "remove", "path": "/metadata/finalizers"}], JSON_PATCH))
    assert "finalizers" not in released["metadata"]


def test_custom_resources_take_no_strategic_patches(http: KubeHttp, namespace: str) -> None:
    ok(http.post(collection(namespace), widget("a")))
    refused(http.patch(f"{collection(namespace)}/a", {"spec": {}}, STRATEGIC), 415, "UnsupportedMediaType")


def test_strategic_patches_merge_lists_by_key(http: KubeHttp, namespace: str) -> None:
    jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    container = {"name": "main", "image": "one"}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    ok(http.post(jobs, {"metadata": {"name": "j"}, "spec": {"template": template, "suspend": True}}))
    status = {"conditions": [{"type": "A", "status": "True"}]}
    ok(http.patch(f"{jobs}/j/status", {"status": status}, STRATEGIC))
    second = {"status": {"conditions": [{"type": "B", "status": "True"}]}}
    assert {"A", "B"} <= _conditions(http.patch(f"{jobs}/j/status", second, STRATEGIC))
    third = {"status": {"conditions": [{"type": "C", "status": "True"}]}}
    assert not {"A", "B"} & _conditions(http.patch(f"{jobs}/j/status", third, MERGE))


def _conditions(response: httpx.Response) -> set[str]:
    return {condition["type"] for condition in ok(response)["status"]["conditions"]}


def _config(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": "Widget", "metadata": {"name": "a"}, "spec": {"size": 1} | spec}


def test_an_apply_creates_and_then_owns(http: KubeHttp, namespace: str) -> None:
    path = f"{collection(namespace)}/a"
    created = http.patch(path, _config(marks={"x": "1", "y": "2"}), APPLY, fieldManager="one")
    assert created.status_code == 201
    managed = created.json()["metadata"]["managedFields"]
    assert [(entry["manager"], entry["operation"]) for entry in managed] == [("one", "Apply")]
    assert managed[0]["fieldsV1"]["f:spec"]["f:marks"] == {"f:x": {}, "f:y": {}}
    again = ok(http.patch(path, _config(marks={"x": "1"}), APPLY, fieldManager="one"))
    assert again["spec"]["marks"] == {"x": "1"}


def test_a_repeated_apply_changes_nothing(http: KubeHttp, namespace: str) -> None:
    path = f"{collection(namespace)}/a"
    first = ok(http.patch(path, _config(note="n"), APPLY, fieldManager="one"))
    assert ok(http.patch(path, _config(note="n"), APPLY, fieldManager="one"))["metadata"] == first["metadata"]


def test_an_apply_meets_other_owners(http: KubeHttp, namespace: str) -> None:
    path = f"{collection(namespace)}/a"
    ok(http.patch(path, _config(note="mine"), APPLY, fieldManager="one"))
    status = refused(http.patch(path, _config(note="yours"), APPLY, fieldManager="two"), 409, "Conflict")
    (cause,) = status["details"]["causes"]
    assert cause["reason"] == "FieldManagerConflict"
    assert cause["field"] == ".spec.note"
    assert '"one"' in cause["message"]
    forced = ok(http.patch(path, _config(note="yours"), APPLY, fieldManager="two", force="true"))
    assert forced["spec"]["note"] == "yours"
    kept = ok(http.patch(path, _config(), APPLY, fieldManager="one"))
    assert kept["spec"]["note"] == "yours"


def test_applies_share_a_keyed_list(http: KubeHttp, namespace: str) -> None:
    path = f"{collection(namespace)}/a"
    ok(http.patch(path, _config(parts=[{"name": "p", "count": 1}]), APPLY, fieldManager="one"))
    both = ok(http.patch(path, _config(parts=[{"name": "q", "count": 2}]), APPLY, fieldManager="two"))
    assert sorted(part["name"] for part in both["spec"]["parts"]) == ["p", "q"]
    left = ok(http.patch(path, _config(), APPLY, fieldManager="one"))
    assert [part["name"] for part in left["spec"]["parts"]] == ["q"]


def test_an_update_takes_ownership_from_an_apply(http: KubeHttp, namespace: str) -> None:
    path = f"{collection(namespace)}/a"
    ok(http.patch(path, _config(note="applied"), APPLY, fieldManager="one"))
    ok(http.patch(path, {"spec": {"note": "patched"}}, fieldManager="two"))
    refused(http.patch(path, _config(note="applied"), APPLY, fieldManager="one"), 409, "Conflict")


def test_an_apply_must_say_whose_it_is(http: KubeHttp, namespace: str) -> None:
    response = http.patch(f"{collection(namespace)}/a", _config(), APPLY)
    assert response.status_code in (400, 422), response.text


def test_an_apply_may_be_yaml(http: KubeHttp, namespace: str) -> None:
    text = f"apiVersion: {API_VERSION}\nkind: Widget\nmetadata: {{name: a}}\nspec:\n  size: 4\n"
    assert ok(http.patch(f"{collection(namespace)}/a", text, APPLY, fieldManager="one"))["spec"]["size"] == 4


def test_the_status_is_applied_apart(http: KubeHttp, namespace: str) -> None:
    path = f"{collection(namespace)}/a"
    ok(http.post(collection(namespace), widget("a")))
    config = {"apiVersion": API_VERSION, "kind": "Widget", "metadata": {"name": "a"}, "status": {"phase": "Applied"}}
    applied = ok(http.patch(f"{path}/status", config, APPLY, fieldManager="one"))
    assert applied["status"] == {"phase": "Applied"}
    assert applied["spec"]["size"] == 1
