"""Admission of an object by its structural schema: pruned of unknown fields, filled up with defaults, then checked.

The checks are `validation` (JSON Schema) and, on values that pass it, `rules` (CEL).
"""

import copy
from collections.abc import Mapping
from typing import Any

from dspy_service_core.kube.protocol import Object
from dspy_service_local.apiserver.admission.rules import broken_rules
from dspy_service_local.apiserver.admission.schema_nodes import MISSING, Node, compile_node
from dspy_service_local.apiserver.admission.validation import Validation, list_problems
from dspy_service_local.apiserver.refusals import Problem

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
