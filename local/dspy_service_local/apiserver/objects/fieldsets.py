"""Sets of fields, as `managedFields` writes them, and the typed view of objects behind them. Pure.

A path is a tuple of elements: `f:name`, `k:{"name":"a"}` for an element of a keyed list, `v:"x"` for one of a set.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from dspy_service_core.kube.protocol import Object
from dspy_service_local.apiserver.admission.schema_nodes import Node, compile_node
from dspy_service_local.apiserver.kinds.kinds import Kind

Path = tuple[str, ...]
Fields = frozenset[Path]

_OWNERS = {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["uid"]}
_FINALIZERS = {"type": "array", "x-kubernetes-list-type": "set"}
_METADATA = compile_node({"properties": {"ownerReferences": _OWNERS, "finalizers": _FINALIZERS}})
_OWNED_METADATA = ("labels", "annotations", "ownerReferences", "finalizers")


def typed_root(kind: Kind) -> Node:
    """The kind's schema, which says of each list how its elements are told apart, and that of the metadata."""
    root = kind.admission.root
    return Node(root.schema, properties=root.properties | {"metadata": _METADATA}, additional=root.additional)


def fields_of(kind: Kind, obj: Object, *, subresource: str = "") -> Fields:
    """Every field that a client can own: the leaves, and the elements of keyed lists and sets."""
    found: set[Path] = set()
    for section in _OWNED_METADATA:
        if (value := (obj.get("metadata") or {}).get(section)) is not None:
            _collect(_METADATA.child(section), value, ("f:metadata", f"f:{section}"), found)
    root = kind.admission.root
    for key, value in obj.items():
        if key in ("apiVersion", "kind", "metadata") or (
            kind.has_status and (key == "status") != (subresource == "status")
        ):
            continue
        _collect(root.child(key), value, (f"f:{key}",), found)
    return frozenset(found)


def _collect(node: Node | None, value: Any, path: Path, found: set[Path]) -> None:
    children = list(elements(node, value)) if value else []
    if not children or path[-1][0] in "kv":
        found.add(path)
    for element, child, item in children:
        _collect(child, item, (*path, element), found)


def elements(node: Node | None, value: Any) -> Iterator[tuple[str, Node | None, Any]]:
    """The parts of a value that are owned one by one; none for scalars and atomic lists and maps."""
    if isinstance(value, dict):
        if node is None or node.schema.get("x-kubernetes-map-type") != "atomic":
            for key, item in value.items():
                yield f"f:{key}", node.child(key) if node else None, item
    elif isinstance(value, list) and node is not None and node.list_type in ("map", "set"):
        for item in value:
            yield element_of(node, item), node.items, item


def element_of(node: Node, item: Any) -> str:
    if node.list_type == "set":
        return "v:" + orjson.dumps(item).decode()
    keys = {key: item.get(key) for key in sorted(node.list_keys) if isinstance(item, dict) and key in item}
    return "k:" + orjson.dumps(keys).decode()


def value_at(node: Node | None, value: Any, path: Path) -> Any:
    """The value under a path, None where there is none."""
    for wanted in path:
        for element, child, item in elements(node, value):
            if element == wanted:
                node, value = child, item
                break
        else:
            return None
    return value


def dropped(node: Node | None, value: Any, path: Path) -> Any:
    """The value without what lies at the path."""
    head, rest = path[0], path[1:]
    if isinstance(value, dict):
        key = head.removeprefix("f:")
        if key not in value:
            return value
        if not rest:
            return {name: item for name, item in value.items() if name != key}
        return value | {key: dropped(node.child(key) if node else None, value[key], rest)}
    if isinstance(value, list) and node is not None:
        kept = [item for item in value if rest or element_of(node, item) != head]
        return [dropped(node.items, item, rest) if rest and element_of(node, item) == head else item for item in kept]
    return value


def to_fields_v1(fields: Iterable[Path]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for path in sorted(fields):
        place = root
        for element in path:
            place = place.setdefault(element, {})
        place["."] = {}
    return _without_leaf_dots(root)


def _without_leaf_dots(place: dict[str, Any]) -> dict[str, Any]:
    """A leaf is an empty map; only a member that has members below it is marked by a dot."""
    if place.keys() == {"."}:
        return {}
    return {key: value if key == "." else _without_leaf_dots(value) for key, value in place.items()}


def from_fields_v1(place: dict[str, Any], path: Path = ()) -> Fields:
    found: set[Path] = set()
    for key, below in place.items():
        if key == ".":
            found.add(path)
        elif below:
            found |= from_fields_v1(below, (*path, key))
        else:
            found.add((*path, key))
    return frozenset(found)


def shown(path: Path) -> str:
    """`.spec.containers[name="a"].image`, as conflicts name fields."""
    parts = []
    for element in path:
        kind, value = element[0], element[2:]
        if kind == "f":
            parts.append(f".{value}")
        elif kind == "k":
            keys = orjson.loads(value)
            parts.append("[" + ",".join(f"{key}={orjson.dumps(item).decode()}" for key, item in keys.items()) + "]")
        else:
            parts.append(f"[={value}]")
    return "".join(parts)
