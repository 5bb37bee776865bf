"""Server-side apply: who owns which field, conflicts, and removal of what an applier no longer names.

Ownership is recorded from an object's first apply on. What was there before belongs to `before-first-apply`, as
Kubernetes has it for objects without managedFields: so writers that never apply (ours: all) pay nothing for it.
"""

from dataclasses import dataclass, replace
from typing import Any

from dspy_service_core.kube.protocol import Object
from dspy_service_local.apiserver import refusals
from dspy_service_local.apiserver.admission.schema_nodes import Node
from dspy_service_local.apiserver.kinds.kinds import Kind
from dspy_service_local.apiserver.objects.fieldsets import (
    Fields,
    dropped,
    element_of,
    fields_of,
    from_fields_v1,
    shown,
    to_fields_v1,
    typed_root,
    value_at,
)

_BEFORE = "before-first-apply"


@dataclass(frozen=True, slots=True)
class Manager:
    name: str
    operation: str
    api_version: str
    subresource: str
    fields: Fields
    time: str

    def is_same(self, other: "Manager") -> bool:
        return (self.name, self.operation, self.subresource) == (other.name, other.operation, other.subresource)


def applied(
    kind: Kind, old: Object | None, body: Object, manager: str, subresource: str, force: bool, now: str
) -> Object:
    """The object after an apply, `metadata.managedFields` included; `old` None: it is made by this apply."""
    config = _checked(body, manager)
    live = old if old is not None else {"apiVersion": body["apiVersion"], "kind": body["kind"], "metadata": {}}
    mine = Manager(
        manager, "Apply", kind.resource.api_version, subresource, fields_of(kind, config, subresource=subresource), now
    )
    managers = _managers(kind, live, now) if old is not None else []
    former = next((each.fields for each in managers if each.is_same(mine)), frozenset())
    others = [each for each in managers if not each.is_same(mine)]
    merged = _merge(typed_root(kind), live, config)
    others = _settle(kind, live, merged, mine, others, force)
    for path in sorted(former - mine.fields, key=len):
        if not any(_owns(other, path) for other in others):
            merged = dropped(typed_root(kind), merged, path)
    return _with_managers(merged, live, [*others, mine])


def note_update(kind: Kind, new: Object, old: Object, manager: str, subresource: str, now: str) -> None:
    """After any other write: changed fields belong to the writer, and to nobody else."""
    before, after = fields_of(kind, old, subresource=subresource), fields_of(kind, new, subresource=subresource)
    changed = frozenset(
        path for path in after if path not in before or _value(kind, new, path) != _value(kind, old, path)
    )
    managers = _managers(kind, old, now)
    if not changed and before == after:
        new["metadata"] = new["metadata"] | {"managedFields": old["metadata"]["managedFields"]}
        return
    mine = Manager(manager or "unknown", "Update", kind.resource.api_version, subresource, changed, now)
    former = next((each.fields for each in managers if each.is_same(mine)), frozenset())
    gone = changed | (before - after)
    others = [replace(each, fields=each.fields - gone) for each in managers if not each.is_same(mine)]
    mine = replace(mine, fields=(former - (before - after)) | changed)
    _with_managers(new, old, [*others, mine])


def _checked(body: Object, manager: str) -> Object:
    if not manager:
        problem = refusals.required("fieldManager", "is required for apply patch")
        raise refusals.failure(422, "Invalid", f'PatchOptions.meta.k8s.io "" is invalid: {problem}')
    if (body.get("metadata") or {}).get("managedFields"):
        raise refusals.bad_request("metadata.managedFields must be nil")
    cleaned: Object = _without_nulls(body)
    return cleaned


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _managers(kind: Kind, obj: Object, now: str) -> list[Manager]:
    entries = obj["metadata"].get("managedFields")
    if not entries:
        fields = fields_of(kind, obj) | (fields_of(kind, obj, subresource="status") if kind.has_status else frozenset())
        return [Manager(_BEFORE, "Update", kind.resource.api_version, "", fields, now)]
    return [
        Manager(
            entry["manager"],
            entry["operation"],
            entry["apiVersion"],
            entry.get("subresource", ""),
            from_fields_v1(entry["fieldsV1"]),
            entry["time"],
        )
        for entry in entries
    ]


def _with_managers(obj: Object, old: Object, managers: list[Manager]) -> Object:
    """Sets managedFields; entries with the same fields keep their time, so that a repeated apply changes nothing."""
    earlier = {_identity(entry): entry for entry in old["metadata"].get("managedFields") or ()}
    entries = []
    for manager in managers:
        entry = _entry(manager)
        known = earlier.get(_identity(entry))
        if manager.fields or manager.operation == "Apply":
            entries.append(known if known and known["fieldsV1"] == entry["fieldsV1"] else entry)
    obj["metadata"] = obj["metadata"] | {"managedFields": entries}
    return obj


def _entry(manager: Manager) -> dict[str, Any]:
    entry = {
        "manager": manager.name,
        "operation": manager.operation,
        "apiVersion": manager.api_version,
        "time": manager.time,
        "fieldsType": "FieldsV1",
        "fieldsV1": to_fields_v1(manager.fields),
    }
    return entry | ({"subresource": manager.subresource} if manager.subresource else {})


def _identity(entry: dict[str, Any]) -> tuple[str, str, str]:
    return entry["manager"], entry["operation"], entry.get("subresource", "")


def _settle(
    kind: Kind, live: Object, merged: Object, mine: Manager, others: list[Manager], force: bool
) -> list[Manager]:
    """The other managers after this apply: force takes contested fields from them, otherwise they are a conflict."""
    contested = frozenset(path for path in mine.fields if _value(kind, live, path) != _value(kind, merged, path))
    if not force and (causes := _causes(others, contested)):
        raise refusals.apply_conflict(causes)
    return [replace(other, fields=other.fields - contested) for other in others]


def _causes(others: list[Manager], contested: Fields) -> list[dict[str, Any]]:
    return [
        {
            "reason": "FieldManagerConflict",
            "message": f'conflict with "{other.name}" using {other.api_version}',
            "field": shown(path),
        }
        for other in others
        for path in sorted(other.fields & contested)
    ]


def _owns(other: Manager, path: tuple[str, ...]) -> bool:
    """Whether another manager owns this field, or something below it."""
    return any(owned[: len(path)] == path for owned in other.fields)


def _value(kind: Kind, obj: Object, path: tuple[str, ...]) -> Any:
    return value_at(typed_root(kind), obj, path)


def _merge(node: Node | None, live: Any, config: Any) -> Any:
    atomic = node is not None and node.schema.get("x-kubernetes-map-type") == "atomic"
    if isinstance(config, dict) and isinstance(live, dict) and not atomic:
        return live | {
            key: _merge(node.child(key) if node else None, live.get(key), item) for key, item in config.items()
        }
    if isinstance(config, list) and isinstance(live, list) and node is not None and node.list_type != "atomic":
        held = {element_of(node, item): item for item in live}
        for item in config:
            element = element_of(node, item)
            held[element] = _merge(node.items, held.get(element), item)
        return list(held.values())
    return config
