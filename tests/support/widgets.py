"""A small custom resource of the tests' own: every feature of definitions that ours uses, and nothing of ours."""

from typing import Any

GROUP = "testing.dspy-service.io"
API_VERSION = f"{GROUP}/v1"
DEFINITION_NAME = f"widgets.{GROUP}"
PLURAL = "widgets"

_PART = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": {"type": "string"}, "count": {"type": "integer", "default": 1}},
}
SPEC: dict[str, Any] = {
    "type": "object",
    "description": "What the widget is to be.",
    "required": ["size"],
    "x-kubernetes-validations": [
        {"rule": "self.size == oldSelf.size", "message": "size is immutable"},
        {"rule": "!has(self.colour) || self.colour != 'pink' || self.size < 10", "message": "pink widgets are small"},
    ],
    "properties": {
        "size": {"type": "integer", "minimum": 1, "maximum": 100, "description": "How large it is."},
        "colour": {"type": "string", "enum": ["", "red", "pink"]},
        "note": {"type": "string", "default": "none", "maxLength": 4000},
        "code": {"type": "string", "pattern": "^[a-z]*$"},
        "port": {"x-kubernetes-int-or-string": True},
        "extra": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "optional": {"type": "string", "nullable": True},
        "marks": {"type": "object", "additionalProperties": {"type": "string"}},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 3, "x-kubernetes-list-type": "set"},
        "parts": {
            "type": "array",
            "items": _PART,
            "maxItems": 100,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
        },
        "nested": {"type": "object", "default": {}, "properties": {"depth": {"type": "integer", "default": 3}}},
    },
}
_STATUS = {
    "type": "object",
    "properties": {
        "phase": {"type": "string"},
        "run": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "conditions": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
            "items": {
                "type": "object",
                "required": ["type", "status"],
                "properties": {"type": {"type": "string"}, "status": {"type": "string"}, "reason": {"type": "string"}},
            },
        },
    },
}
_COLUMNS = [
    {"name": "Size", "type": "integer", "jsonPath": ".spec.size", "description": "How large it is."},
    {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
    {"name": "Note", "type": "string", "jsonPath": ".spec.note", "priority": 1},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
]
DEFINITION: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": DEFINITION_NAME},
    "spec": {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {"plural": PLURAL, "singular": "widget", "kind": "Widget", "shortNames": ["wdg"]},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "additionalPrinterColumns": _COLUMNS,
                "selectableFields": [{"jsonPath": ".spec.colour"}],
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "description": "Something to test with.",
                        "required": ["spec"],
                        "properties": {"spec": SPEC, "status": _STATUS},
                    }
                },
            }
        ],
    },
}


def collection(namespace: str) -> str:
    return f"/apis/{API_VERSION}/namespaces/{namespace}/{PLURAL}"


def widget(name: str = "", *, labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    """Without a name, the server makes one."""
    metadata: dict[str, Any] = {"name": name} if name else {"generateName": "w-"}
    if labels:
        metadata["labels"] = labels
    return {"apiVersion": API_VERSION, "kind": "Widget", "metadata": metadata, "spec": {"size": 1} | spec}
