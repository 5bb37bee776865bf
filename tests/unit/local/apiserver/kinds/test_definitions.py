"""Definitions: what is no schema is refused, and the kind comes, changes and goes with its definition."""

import copy
from typing import Any

import pytest

from dspy_service_core.kube.errors import Invalid, NotFound
from dspy_service_core.kube.resources import CUSTOM_RESOURCE_DEFINITIONS, NAMESPACES, Resource
from dspy_service_local.apiserver import Cluster
from waiting import until
from widgets import DEFINITION, DEFINITION_NAME, widget

WIDGETS = Resource("testing.dspy-service.io", "v1", "widgets", "Widget")


def _changed(path: str, value: Any) -> dict[str, Any]:
    """Another definition (of gadgets) with one thing wrong."""
    made = copy.deepcopy(DEFINITION)
    made["metadata"]["name"] = "gadgets.testing.dspy-service.io"
    made["spec"]["names"] = {"plural": "gadgets", "kind": "Gadget"}
    *parents, last = path.split(".")
    place: Any = made
    for part in parents:
        place = place[int(part) if part.isdecimal() else part]
    place[int(last) if last.isdecimal() else last] = value
    return made


_SCHEMA = "spec.versions.0.schema.openAPIV3Schema"


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("metadata.name", "else.testing.dspy-service.io", "metadata.name"),
        ("spec.scope", "Galaxy", "spec.scope"),
        ("spec.versions", [], "spec.versions"),
        ("spec.versions.0.storage", False, "spec.versions"),
        ("spec.names", {"plural": "gadgets"}, "spec.names.kind"),
        ("spec.versions.0.schema", {}, "spec.versions[0].schema.openAPIV3Schema"),
        (_SCHEMA, {"type": "string"}, "spec.versions[0].schema.openAPIV3Schema.type"),
        (f"{_SCHEMA}.properties.spec", {"type": "nonsense"}, "spec.versions[0].schema.openAPIV3Schema"),
        (f"{_SCHEMA}.properties.spec", {"type": "string", "pattern": "("}, "spec.versions[0].schema.openAPIV3Schema"),
        (f"{_SCHEMA}.properties", ["x"], "spec.versions[0].schema.openAPIV3Schema"),
        (
            f"{_SCHEMA}.x-kubernetes-validations",
            [{"rule": "self.spec.size >"}],
            "spec.versions[0].schema.openAPIV3Schema.x-kubernetes-validations",
        ),
    ],
)
async def test_what_is_no_definition(cluster: Cluster, path: str, value: Any, field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        await cluster.client.create(CUSTOM_RESOURCE_DEFINITIONS, _changed(path, value))
    assert field in {cause["field"] for cause in refusal.value.status["details"]["causes"]}


async def test_a_changed_schema_holds_at_once_for_what_changes(cluster: Cluster) -> None:
    client = cluster.client
    await client.create(WIDGETS, widget("a", size=50, note="x"), "default")
    definition = await client.get(CUSTOM_RESOURCE_DEFINITIONS, DEFINITION_NAME)
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["properties"]["spec"]["properties"]["size"]["maximum"] = 10
    await client.replace(CUSTOM_RESOURCE_DEFINITIONS, DEFINITION_NAME, definition)
    with pytest.raises(Invalid):
        await client.create(WIDGETS, widget("b", size=50), "default")
    kept = await client.patch(WIDGETS, "a", {"status": {"phase": "x"}}, "default", subresource="status")
    assert kept["spec"]["size"] == 50


async def test_a_definition_takes_its_objects_along(cluster: Cluster) -> None:
    client = cluster.client
    await client.create(NAMESPACES, {"metadata": {"name": "other"}})
    for number in range(450):
        await client.create(WIDGETS, widget(f"w-{number}"), "other")
    await client.delete(CUSTOM_RESOURCE_DEFINITIONS, DEFINITION_NAME)
    await until(lambda: _unknown(cluster))
    await client.create(CUSTOM_RESOURCE_DEFINITIONS, DEFINITION)
    assert (await client.list(WIDGETS)).items == []


async def test_a_definition_waits_for_what_is_held(cluster: Cluster) -> None:
    client = cluster.client
    body = widget("held")
    body["metadata"]["finalizers"] = ["example.com/hold"]
    await client.create(WIDGETS, body, "default")
    await client.delete(CUSTOM_RESOURCE_DEFINITIONS, DEFINITION_NAME)
    await until(lambda: _deleting(cluster))
    await client.patch(WIDGETS, "held", {"metadata": {"finalizers": None}}, "default")
    await until(lambda: _unknown(cluster))


async def test_a_large_namespace_ends(cluster: Cluster) -> None:
    client = cluster.client
    await client.create(NAMESPACES, {"metadata": {"name": "large"}})
    for number in range(450):
        await client.create(WIDGETS, widget(f"w-{number}"), "large")
    await client.delete(NAMESPACES, "large")

    async def gone() -> bool:
        return all(item["metadata"]["name"] != "large" for item in (await client.list(NAMESPACES)).items)

    await until(gone)
    assert (await client.list(WIDGETS)).items == []


async def _unknown(cluster: Cluster) -> bool:
    try:
        await cluster.client.list(WIDGETS)
    except NotFound:
        return True
    return False


async def _deleting(cluster: Cluster) -> bool:
    return "deletionTimestamp" in (await cluster.client.get(WIDGETS, "held", "default"))["metadata"]
