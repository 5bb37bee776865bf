"""A structural schema as a tree of nodes, compiled once a definition: what the three steps of admission walk along.

`schema` prunes and defaults, `validation` checks against JSON Schema, `rules` runs the CEL rules.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dspy_service_local.apiserver.admission.programs import Rule, compile_rules
from dspy_service_local.apiserver.admission.projection import Reads, escaped, together

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
    read: Reads = field(default_factory=dict)
    """What the rules that see no old value together read of the value there."""
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
    node.read = together([rule.reads_self for rule in node.rules if not rule.transition])
    below = [child for child in (*node.properties.values(), node.additional, node.items) if child is not None]
    node.fills_below = bool(node.properties) or any(child.fills_below for child in below)
    node.rules_below = bool(node.rules) or any(child.rules_below for child in below)
    node.lists_below = node.list_type in ("map", "set") or any(child.lists_below for child in below)
    node.converts_below = _needs_conversion(schema) or any(child.converts_below for child in below)
    return node


def _needs_conversion(schema: Mapping[str, Any]) -> bool:
    """Numbers must be doubles, names that are no CEL identifiers are escaped, and a null is not there."""
    properties = schema.get("properties") or {}
    odd = any(escaped(key) != key or its.get("nullable") for key, its in properties.items())
    return schema.get("type") == "number" or odd
