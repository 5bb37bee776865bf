"""Reading and writing single objects: what is set by whom, and who may overwrite what."""

from datetime import datetime

import pytest
from kubernetes import client

from kube_http import APPLY, KubeHttp, ok, refused
from widgets import API_VERSION, GROUP, PLURAL, collection, widget

pytestmark = pytest.mark.usefixtures("widgets")


def test_create_sets_what_the_server_owns(http: KubeHttp, namespace: str) -> None:
    response = http.post(collection(namespace), widget("a"))
    assert response.status_code == 201
    metadata = response.json()["metadata"]
    assert metadata["name"] == "a"
    assert metadata["namespace"] == namespace
    assert metadata["generation"] == 1
    assert int(metadata["resourceVersion"]) > 0
    assert len(metadata["uid"]) == 36
    assert datetime.fromisoformat(metadata["creationTimestamp"]).tzinfo is not None
    assert ok(http.get(f"{collection(namespace)}/a")) == response.json()


def test_the_clients_own_uid_and_timestamps_are_ignored(http: KubeHttp, namespace: str) -> None:
    body = widget("a")
    body["metadata"] |= {"uid": "mine", "creationTimestamp": "2001-01-01T00:00:00Z", "generation": 7}
    metadata = ok(http.post(collection(namespace), body))["metadata"]
    assert metadata["uid"] != "mine"
    assert metadata["creationTimestamp"] != "2001-01-01T00:00:00Z"
    assert metadata["generation"] == 1


def test_an_object_exists_once(http: KubeHttp, namespace: str) -> None:
    ok(http.post(collection(namespace), widget("a")))
    status = refused(http.post(collection(namespace), widget("a")), 409, "AlreadyExists")
    assert status["message"] == f'widgets.{GROUP} "a" already exists'
    assert status["details"] == {"name": "a", "group": GROUP, "kind": PLURAL}


def test_what_is_not_there_is_not_found(http: KubeHttp, namespace: str) -> None:
    path = f"{collection(namespace)}/nobody"
    for response in (
        http.get(path),
        http.delete(path),
        http.patch(path, {"spec": {"note": "x"}}),
        http.patch(f"{path}/status", {"status": {"phase": "x"}}),
    ):
        status = refused(response, 404, "NotFound")
        assert status["message"] == f'widgets.{GROUP} "nobody" not found'


def test_names_are_made_unique(http: KubeHttp, namespace: str) -> None:
    names = {ok(http.post(collection(namespace), widget()))["metadata"]["name"] for _ in range(5)}
    assert len(names) == 5
    assert all(name.startswith("w-") and len(name) == 7 for name in names)


@pytest.mark.parametrize("name", ["Upper", "under_score", "-dash", "a" * 254, "sl/ash"])
def test_names_must_be_dns_names(http: KubeHttp, namespace: str, name: str) -> None:
    status = refused(http.post(collection(namespace), widget(name)), 422, "Invalid")
    assert status["details"]["causes"][0]["field"] == "metadata.name"


def test_a_name_is_required(http: KubeHttp, namespace: str) -> None:
    body = widget("a")
    del body["metadata"]["name"]
    status = refused(http.post(collection(namespace), body), 422, "Invalid")
    assert status["details"]["causes"][0] == {
        "reason": "FieldValueRequired",
        "message": "Required value: name or generateName is required",
        "field": "metadata.name",
    }


def test_the_namespace_must_exist_and_match(http: KubeHttp, namespace: str) -> None:
    refused(http.post(collection("no-such-namespace"), widget("a")), 404, "NotFound")
    body = widget("a")
    body["metadata"]["namespace"] = "elsewhere"
    refused(http.post(collection(namespace), body), 400, "BadRequest")


@pytest.mark.parametrize(
    ("field", "value"), [("labels", {"a": "not a value!"}), ("labels", {"b@d": "x"}), ("annotations", {"b@d": "x"})]
)
def test_labels_and_annotations_are_checked(http: KubeHttp, namespace: str, field: str, value: dict[str, str]) -> None:
    body = widget("a")
    body["metadata"][field] = value
    status = refused(http.post(collection(namespace), body), 422, "Invalid")
    assert status["details"]["causes"][0]["field"] == f"metadata.{field}"


def test_annotations_are_bounded(http: KubeHttp, namespace: str) -> None:
    body = widget("a")
    body["metadata"]["annotations"] = {"big": "x" * 300_000}
    status = refused(http.post(collection(namespace), body), 422, "Invalid")
    assert status["details"]["causes"][0]["field"] == "metadata.annotations"


def test_a_replace_needs_the_newest_version(http: KubeHttp, namespace: str) -> None:
    path = f"{collection(namespace)}/a"
    first = ok(http.post(collection(namespace), widget("a")))
    second = ok(http.put(path, first | {"spec": first["spec"] | {"note": "one"}}))
    assert int(second["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])
    assert second["metadata"]["generation"] == 2
    status = refused(http.put(path, first | {"spec": first["spec"] | {"note": "two"}}), 409, "Conflict")
    assert "the object has been modified" in status["message"]


def test_a_custom_resource_is_not_replaced_blindly(http: KubeHttp, namespace: str) -> None:
    ok(http.post(collection(namespace), widget("a")))
    status = refused(http.put(f"{collection(namespace)}/a", widget("a")), 422, "Invalid")
    assert status["details"]["causes"][0]["field"] == "metadata.resourceVersion"


def test_a_write_that_changes_nothing_is_no_write(http: KubeHttp, namespace: str) -> None:
    made = ok(http.post(collection(namespace), widget("a")))
    path = f"{collection(namespace)}/a"
    assert ok(http.patch(path, {"spec": {"size": 1}}))["metadata"] == made["metadata"]


def test_spec_and_status_are_written_apart(http: KubeHttp, namespace: str) -> None:
    path = f"{collection(namespace)}/a"
    made = ok(http.post(collection(namespace), widget("a") | {"status": {"phase": "Made"}}))
    assert "status" not in made
    patch = {"spec": {"note": "x"}, "status": {"phase": "Running"}, "metadata": {"labels": {"a": "b"}}}
    after_status = ok(http.patch(f"{path}/status", patch))
    assert after_status["status"] == {"phase": "Running"}
    assert after_status["spec"]["note"] == "none"
    assert after_status["metadata"]["generation"] == 1
    after_main = ok(http.patch(path, {"spec": {"note": "y"}, "status": {"phase": "Ended"}}))
    assert after_main["status"] == {"phase": "Running"}
    assert after_main["spec"]["note"] == "y"
    assert after_main["metadata"]["generation"] == 2
    assert ok(http.get(f"{path}/status")) == after_main


def test_labels_do_not_count_as_a_generation(http: KubeHttp, namespace: str) -> None:
    ok(http.post(collection(namespace), widget("a")))
    patched = ok(http.patch(f"{collection(namespace)}/a", {"metadata": {"labels": {"x": "y"}}}))
    assert patched["metadata"]["generation"] == 1
    assert patched["metadata"]["labels"] == {"x": "y"}


def test_identity_is_not_changed(http: KubeHttp, namespace: str) -> None:
    path = f"{collection(namespace)}/a"
    made = ok(http.post(collection(namespace), widget("a")))
    other = {"uid": "00000000-0000-0000-0000-000000000000"}
    refused(http.patch(path, {"metadata": other}), 422, "Invalid")
    refused(http.put(path, made | {"metadata": made["metadata"] | other}), 409, "Conflict")
    ok(http.patch(path, {"metadata": {"creationTimestamp": "2020-01-01T00:00:00Z"}}))
    refused(http.patch(path, {"metadata": {"name": "b"}}), 400, "BadRequest")
    assert ok(http.get(path)) == made


def test_a_dry_run_stores_nothing(http: KubeHttp, namespace: str) -> None:
    path = f"{collection(namespace)}/a"
    assert ok(http.post(collection(namespace), widget("a"), dryRun="All"))["spec"]["note"] == "none"
    refused(http.get(path), 404, "NotFound")
    ok(http.post(collection(namespace), widget("a")))
    assert ok(http.patch(path, {"spec": {"note": "x"}}, dryRun="All"))["spec"]["note"] == "x"
    ok(http.delete(path, dryRun="All"))
    assert ok(http.get(path))["spec"]["note"] == "none"


def test_the_body_must_be_of_the_paths_kind(http: KubeHttp, namespace: str) -> None:
    refused(http.post(collection(namespace), widget("a") | {"apiVersion": "v2"}), 400, "BadRequest")
    refused(http.post(collection(namespace), widget("a") | {"kind": "Gadget"}), 422, "Invalid")
    gadget = widget("a") | {"kind": "Gadget"}
    refused(http.patch(f"{collection(namespace)}/a", gadget, APPLY, fieldManager="tests"), 400, "BadRequest")
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}
    refused(http.post(f"/api/v1/namespaces/{namespace}/configmaps", secret), 400, "BadRequest")


def test_unknown_paths_are_not_found(http: KubeHttp) -> None:
    assert http.get("/apis/no.such.group/v1/things").status_code == 404
    assert http.get(f"/apis/{API_VERSION}/gadgets").status_code == 404


def test_the_official_client_reads_and_writes(api: client.ApiClient, namespace: str) -> None:
    custom = client.CustomObjectsApi(api)
    place = (GROUP, "v1", namespace, PLURAL)
    custom.create_namespaced_custom_object(*place, widget("a", note="x" * 3000))
    assert custom.get_namespaced_custom_object(*place, "a")["spec"]["size"] == 1
    custom.patch_namespaced_custom_object_status(*place, "a", {"status": {"phase": "Running"}})
    assert [item["status"]["phase"] for item in custom.list_namespaced_custom_object(*place)["items"]] == ["Running"]
    custom.delete_namespaced_custom_object(*place, "a")
    with pytest.raises(client.ApiException) as failure:
        custom.get_namespaced_custom_object(*place, "a")
    assert failure.value.status == 404
