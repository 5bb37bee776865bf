"""What clients ask before they act: discovery, tables, OpenAPI, who they are."""

from pathlib import Path

import pytest
import yaml

from kube_http import TABLE, KubeHttp, ok, refused
from widgets import API_VERSION, GROUP, PLURAL, collection, widget

pytestmark = pytest.mark.usefixtures("widgets")


def test_the_server_says_its_version(http: KubeHttp) -> None:
    assert ok(http.get("/version"))["major"] == "1"


def test_groups_and_resources_are_listed(http: KubeHttp) -> None:
    assert "v1" in ok(http.get("/api"))["versions"]
    groups = {group["name"]: group for group in ok(http.get("/apis"))["groups"]}
    assert groups[GROUP]["preferredVersion"]["groupVersion"] == API_VERSION
    resources = {each["name"]: each for each in ok(http.get(f"/apis/{API_VERSION}"))["resources"]}
    own = resources[PLURAL]
    assert (own["kind"], own["namespaced"], own["singularName"], own["shortNames"]) == (
        "Widget",
        True,
        "widget",
        ["wdg"],
    )
    assert {"create", "delete", "get", "list", "patch", "update", "watch"} <= set(own["verbs"])
    assert f"{PLURAL}/status" in resources
    core = {each["name"] for each in ok(http.get("/api/v1"))["resources"]}
    assert {"pods", "pods/status", "pods/log", "secrets", "configmaps", "events", "namespaces"} <= core


def test_tables_have_the_definitions_columns(http: KubeHttp, namespace: str) -> None:
    ok(http.post(collection(namespace), widget("a", size=5)))
    ready = {"status": {"conditions": [{"type": "Other", "status": "x"}, {"type": "Ready", "status": "True"}]}}
    ok(http.patch(f"{collection(namespace)}/a/status", ready))
    table = ok(http.get(collection(namespace), accept=TABLE))
    assert table["kind"] == "Table"
    columns = [(column["name"], column["type"], column["priority"]) for column in table["columnDefinitions"]]
    assert columns == [
        ("Name", "string", 0),
        ("Size", "integer", 0),
        ("Ready", "string", 0),
        ("Note", "string", 1),
        ("Age", "date", 0),
    ]
    (row,) = table["rows"]
    assert row["cells"][:4] == ["a", 5, "True", "none"]
    assert row["cells"][4].endswith("s")
    assert row["object"]["kind"] == "PartialObjectMetadata"
    assert row["object"]["metadata"]["name"] == "a"


def test_a_table_of_one_object(http: KubeHttp, namespace: str) -> None:
    ok(http.post(collection(namespace), widget("a")))
    table = ok(http.get(f"{collection(namespace)}/a", accept=TABLE, includeObject="Object"))
    assert table["rows"][0]["object"]["spec"]["size"] == 1


def test_openapi_describes_the_custom_resource(http: KubeHttp) -> None:
    paths = ok(http.get("/openapi/v3"))["paths"]
    document = ok(http.get(paths[f"apis/{API_VERSION}"]["serverRelativeURL"]))
    kind = {"group": GROUP, "version": "v1", "kind": "Widget"}
    schemas = [
        schema
        for schema in document["components"]["schemas"].values()
        if kind in schema.get("x-kubernetes-group-version-kind", ())
    ]
    assert schemas[0]["properties"]["spec"]["properties"]["size"]["description"] == "How large it is."
    patch = document["paths"][f"/apis/{API_VERSION}/namespaces/{{namespace}}/widgets/{{name}}"]["patch"]
    assert patch["x-kubernetes-group-version-kind"] == kind


def test_the_administrator_may(http: KubeHttp) -> None:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "list", "resource": "pods"}},
    }
    assert ok(http.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review))["status"]["allowed"] is True


def test_strangers_are_told_nothing(kubeconfig: Path, tmp_path: Path) -> None:
    document = yaml.safe_load(kubeconfig.read_text())
    for user in document["users"]:
        user["user"] = {"token": "wrong"}
    strange = tmp_path / "kubeconfig"
    strange.write_text(yaml.safe_dump(document))
    with KubeHttp(strange) as http:
        refused(http.get("/api/v1/secrets"), 401, "Unauthorized")
