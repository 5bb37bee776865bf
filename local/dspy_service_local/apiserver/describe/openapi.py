"""OpenAPI v3, a document a group and version, as far as kubectl reads it: explain, and validation of what is sent."""

from collections.abc import Mapping
from typing import Any

from dspy_service_local.apiserver.kinds.kinds import Kind

Document = dict[str, Any]

_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_TEXT: Document = {"type": "string"}
_TEXTS: Document = {"type": "object", "additionalProperties": _TEXT}
_OWNER: Document = {
    "type": "object",
    "required": ["apiVersion", "kind", "name", "uid"],
    "properties": {
        **dict.fromkeys(("apiVersion", "kind", "name", "uid"), _TEXT),
        **{key: {"type": "boolean"} for key in ("blockOwnerDeletion", "controller")},
    },
}
_OBJECT_META: Document = {
    "type": "object",
    "description": "Standard object's metadata.",
    "properties": {
        "name": _TEXT | {"description": "Name, unique within a namespace."},
        "generateName": _TEXT | {"description": "Prefix of a name that the server makes unique."},
        "namespace": _TEXT | {"description": "Namespace within which the name is unique."},
        "labels": _TEXTS | {"description": "Keys and values by which objects are selected."},
        "annotations": _TEXTS | {"description": "Keys and values for tools."},
        "finalizers": {
            "type": "array",
            "items": _TEXT,
            "description": "What must be done before the object goes.",
            "x-kubernetes-list-type": "set",
            "x-kubernetes-patch-strategy": "merge",
        },
        "ownerReferences": {
            "type": "array",
            "items": _OWNER,
            "description": "Objects with whose end this one ends.",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["uid"],
            "x-kubernetes-patch-merge-key": "uid",
            "x-kubernetes-patch-strategy": "merge",
        },
        "managedFields": {
            "type": "array",
            "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            "description": "Which manager owns which fields.",
        },
        **{
            name: _TEXT | {"description": description}
            for name, description in (
                ("uid", "Unique in time and space; the server's."),
                ("resourceVersion", "The server's version of this state of the object."),
                ("creationTimestamp", "When the object was created."),
                ("deletionTimestamp", "When the object is to be gone."),
                ("selfLink", "No longer used."),
            )
        },
        "generation": {"type": "integer", "format": "int64", "description": "Counts the changes of the desired state."},
        "deletionGracePeriodSeconds": {"type": "integer", "format": "int64"},
    },
}
_PARAMETERS = [
    {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
    for name in ("dryRun", "fieldManager", "fieldValidation", "pretty")
]


def path_of(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


def document(kinds: list[Kind]) -> Document:
    """The document of the kinds of one group and version."""
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.32.0"},
        "paths": {path: item for kind in kinds for path, item in _paths(kind).items()},
        "components": {"schemas": {_META: _OBJECT_META} | {schema_name(kind): _schema(kind) for kind in kinds}},
    }


def schema_name(kind: Kind) -> str:
    resource = kind.resource
    if kind.custom:
        reverse = ".".join(reversed(resource.group.split(".")))
        return f"{reverse}.{resource.version}.{resource.kind}"
    group = (resource.group.partition(".")[0] or "core") if resource.group else "core"
    return f"io.k8s.api.{group}.{resource.version}.{resource.kind}"


def _schema(kind: Kind) -> Document:
    properties: Document = {
        "apiVersion": _TEXT | {"description": "Version of this representation of an object."},
        "kind": _TEXT | {"description": "The kind of object."},
        "metadata": {
            "allOf": [{"$ref": f"#/components/schemas/{_META}"}],
            "description": "Standard object's metadata.",
        },
    }
    given = kind.openapi
    made: Document = {
        key: value for key, value in given.items() if key not in ("properties", "x-kubernetes-validations")
    }
    made["type"] = "object"
    made["properties"] = properties | {
        key: _exported(value) for key, value in (given.get("properties") or {}).items() if key not in properties
    }
    made["x-kubernetes-group-version-kind"] = [_gvk(kind)]
    return made


def _exported(schema: Mapping[str, Any]) -> Document:
    """The schema as clients read it: keyed lists carry their merge key for strategic patches."""
    made = dict(schema)
    if "properties" in made:
        made["properties"] = {key: _exported(value) for key, value in made["properties"].items()}
    for below in ("items", "additionalProperties"):
        if isinstance(made.get(below), dict):
            made[below] = _exported(made[below])
    if made.get("x-kubernetes-list-type") == "map":
        made["x-kubernetes-patch-merge-key"] = made["x-kubernetes-list-map-keys"][0]
        made["x-kubernetes-patch-strategy"] = "merge"
    return made


def _gvk(kind: Kind) -> Document:
    return {"group": kind.resource.group, "version": kind.resource.version, "kind": kind.resource.kind}


def _paths(kind: Kind) -> Document:
    namespace = "{namespace}" if kind.resource.namespaced else None
    collection, one = kind.resource.path(namespace), kind.resource.path(namespace, "{name}")
    return {
        collection: {"get": _operation(kind, "list"), "post": _operation(kind, "post")},
        one: {verb: _operation(kind, verb) for verb in ("get", "put", "patch", "delete")},
    }


def _operation(kind: Kind, action: str) -> Document:
    reference = {"$ref": f"#/components/schemas/{schema_name(kind)}"}
    made: Document = {
        "operationId": f"{action}{kind.resource.kind}",
        "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": reference}}}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": _gvk(kind),
    }
    if action in ("post", "put", "patch"):
        made["parameters"] = _PARAMETERS
        made["requestBody"] = {"content": {"application/json": {"schema": reference}}}
    return made
