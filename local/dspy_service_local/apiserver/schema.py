"""Structural schemas, compiled once a definition: pruning of unknown fields and defaulting.

First of the three steps of admission; `validation` (JSON Schema) and `rules` (CEL) follow on the same nodes.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dspy_service_core.kube.protocol import Object
from dspy_service_local.apiserver.programs import Rule, compile_rules
from dspy_service_local.apiserver.refusals import Problem
from dspy_service_local.apiserver.rules import broken_rules, needs_conversion
from dspy_service_local.apiserver.validation import Validation, list_problems

_METADATA = frozenset(
    {
        "annotations",
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "generation",
        "labels",
        "managedFields",
        "name",
        "namespace",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)
_OBJECT_META = ("apiVersion", "kind", "metadata")
MISSING = object()


@dataclass(slots=True)
class Node:
    """One place of a schema. The flags `..._below` let walks skip whole subtrees."""

    schema: Mapping[str, Any]
    properties: dict[str, "Node"] = field(default_factory=dict)
    additional: "Node | None" = None
    items: "Node | None" = None
    preserve: bool = False
    nullable: bool = False
    default: Any = MISSING
    list_type: str = "atomic"
    list_keys: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    rules_below: bool = False
    lists_below: bool = False
    converts_below: bool = False
    fills_below: bool = False

    def child(self, key: str) -> "Node | None":
        return self.properties.get(key) or self.additional


def compile_node(schema: Mapping[str, Any]) -> Node:
    additional = schema.get("additionalProperties")
    node = Node(
        schema,
        properties={key: compile_node(value) for key, value in (schema.get("properties") or {}).items()},
        additional=compile_node(additional) if isinstance(additional, dict) else None,
        items=compile_node(schema["items"]) if isinstance(schema.get("items"), dict) else None,
        preserve=bool(schema.get("x-kubernetes-preserve-unknown-fields")) or additional is True,
        nullable=bool(schema.get("nullable")),
        default=schema.get("default", MISSING),
        list_type=schema.get("x-kubernetes-list-type", "atomic"),
        list_keys=tuple(schema.get("x-kubernetes-list-map-keys") or ()),
        rules=compile_rules(schema.get("x-kubernetes-validations") or ()),
    )
    below = [child for child in (*node.properties.values(), node.additional, node.items) if child is not None]
    node.fills_below = bool(node.properties) or any(child.fills_below for child in below)
    node.rules_below = bool(node.rules) or any(child.rules_below for child in below)
    node.lists_below = node.list_type in ("map", "set") or any(child.lists_below for child in below)
    node.converts_below = needs_conversion(schema) or any(child.converts_below for child in below)
    return node


class StructuralAdmission:
    """A whole schema as `kinds.Admission`. Parts of the root that did not change are taken as checked before, with
    their transition rules: a status patch costs nothing for the spec."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.root = compile_node(schema)
        self._validation = Validation(schema)

    def prune(self, obj: Object, old: Object | None) -> list[str]:
        unknown = [f"metadata.{key}" for key in obj["metadata"] if key not in _METADATA]
        for path in unknown:
            del obj["metadata"][path.removeprefix("metadata.")]
        for key in self._changed(obj, old):
            node = self.root.child(key)
            if node is not None:
                prune(node, obj[key], key, unknown)
            elif not self.root.preserve:
                del obj[key]
                unknown.append(key)
        return unknown

    def default(self, obj: Object, old: Object | None) -> None:
        fill(self.root, obj, skip=_OBJECT_META)
        for key in self._changed(obj, old):
            node = self.root.child(key)
            if node is not None:
                default(node, obj[key])

    def problems(self, obj: Object, old: Object | None) -> list[Problem]:
        changed = self._changed(obj, old)
        found = self._validation.problems(obj, changed)
        for key in changed:
            node = self.root.child(key)
            if node is not None and node.lists_below:
                found += list_problems(node, obj[key], key)
        if found or not self.root.rules_below:
            return found
        return broken_rules(self.root, obj, old, changed)

    def _changed(self, obj: Object, old: Object | None) -> list[str]:
        if old is None:
            return [key for key in obj if key not in _OBJECT_META]
        return [key for key, value in obj.items() if key not in _OBJECT_META and value != old.get(key, MISSING)]


def prune(node: Node, value: Any, path: str, unknown: list[str]) -> None:
    if isinstance(value, dict):
        if node.preserve and not node.properties:
            return
        for key in list(value):
            child = node.child(key)
            if child is not None:
                if isinstance(value[key], dict | list):
                    prune(child, value[key], f"{path}.{key}", unknown)
            elif not node.preserve:
                del value[key]
                unknown.append(f"{path}.{key}")
    elif isinstance(value, list) and node.items is not None:
        for index, item in enumerate(value):
            prune(node.items, item, f"{path}[{index}]", unknown)


def default(node: Node, value: Any) -> None:
    if not node.fills_below:
        return
    if isinstance(value, dict):
        fill(node, value)
        for key, item in value.items():
            child = node.child(key)
            if child is not None and isinstance(item, dict | list):
                default(child, item)
    elif isinstance(value, list) and node.items is not None:
        for item in value:
            default(node.items, item)


def fill(node: Node, value: dict[str, Any], skip: tuple[str, ...] = ()) -> None:
    """Missing properties, and nulls that may not be null, get their default, or go where there is none."""
    for key, child in node.properties.items():
        if key in skip or (key in value and (value[key] is not None or child.nullable)):
            continue
        if child.default is not MISSING:
            value[key] = copy.deepcopy(child.default)
        else:
            value.pop(key, None)
