"""The patch formats: old object and patch in, new object out. The old object is never changed."""

from collections.abc import Mapping, Sequence
from typing import Any

import jsonpatch

from dspy_service_core.kube.protocol import Object
from dspy_service_local.apiserver import refusals


def merge(target: Any, patch: Any) -> Any:
    """RFC 7386. Parts that the patch does not name stay the same objects, so that comparing old and new is cheap;
    the library for it copies or changes its target."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def json_patch(target: Object, operations: Any) -> Object:
    if not isinstance(operations, list):
        raise refusals.bad_request("a JSON patch must be a list of operations")
    try:
        patched = jsonpatch.apply_patch(target, operations)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as exc:
        message = f"the server rejected our request due to an error in our request: {exc}"
        raise refusals.failure(422, "Invalid", message) from exc
    except (TypeError, KeyError) as exc:
        raise refusals.bad_request(f"error decoding patch: {exc}") from exc
    if not isinstance(patched, dict):
        raise refusals.bad_request("the patch leaves no object")
    return patched


MERGE_KEYS: Mapping[str, str] = {
    "conditions": "type",
    "containers": "name",
    "containerStatuses": "name",
    "env": "name",
    "envFrom": "",
    "ephemeralContainers": "name",
    "hostAliases": "ip",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "ownerReferences": "uid",
    "podIPs": "ip",
    "ports": "containerPort",
    "secrets": "name",
    "topologySpreadConstraints": "topologyKey",
    "volumeDevices": "devicePath",
    "volumeMounts": "mountPath",
    "volumes": "name",
    "addresses": "type",
}
"""Lists of built-in kinds that merge by a key ('' and absent: replaced as a whole). Field names suffice to tell them
apart in the kinds that are served."""
_SETS = frozenset({"finalizers"})
_DIRECTIVE = "$patch"
_DELETE_FROM = "$deleteFromPrimitiveList/"
_ORDER = "$setElementOrder/"
_RETAIN = "$retainKeys"


def strategic(target: Any, patch: Any) -> Any:
    """Strategic merge patch, as kubectl makes them for built-in kinds."""
    if not isinstance(patch, dict):
        return patch
    if patch.get(_DIRECTIVE) == "replace":
        return {key: value for key, value in patch.items() if key != _DIRECTIVE}
    if patch.get(_DIRECTIVE) == "delete":
        return {}
    result = dict(target) if isinstance(target, dict) else {}
    if (retained := patch.get(_RETAIN)) is not None:
        result = {key: value for key, value in result.items() if key in retained}
    for key, value in patch.items():
        if key.startswith(_DELETE_FROM):
            field = key.removeprefix(_DELETE_FROM)
            result[field] = [item for item in result.get(field, ()) if item not in value]
        elif not key.startswith("$"):
            _put(result, key, value)
    for key, order in patch.items():
        if key.startswith(_ORDER):
            _reorder(result, key.removeprefix(_ORDER), order)
    return result


def _put(result: dict[str, Any], field: str, value: Any) -> None:
    if value is None:
        result.pop(field, None)
    elif isinstance(value, list):
        result[field] = _strategic_list(field, result.get(field) or [], value)
    else:
        result[field] = strategic(result.get(field), value)


def _strategic_list(field: str, current: list[Any], patch: list[Any]) -> list[Any]:
    if field in _SETS:
        return current + [item for item in patch if item not in current]
    key = MERGE_KEYS.get(field)
    if not key or not all(isinstance(item, dict) for item in patch):
        return patch
    if any(item.get(_DIRECTIVE) == "replace" for item in patch):
        return [item for item in patch if _DIRECTIVE not in item]
    merged = {item.get(key): item for item in current}
    for item in patch:
        if item.get(_DIRECTIVE) == "delete":
            merged.pop(item.get(key), None)
        else:
            merged[item.get(key)] = strategic(merged.get(item.get(key)), item)
    return list(merged.values())


def _reorder(result: dict[str, Any], field: str, order: Sequence[Any]) -> None:
    """Elements that the order names come in it; the others keep their places after them."""
    items = result.get(field)
    if not isinstance(items, list):
        return
    key = MERGE_KEYS.get(field)
    wanted = [item.get(key) if isinstance(item, dict) else item for item in order]

    def place(item: Any) -> int:
        value = item.get(key) if isinstance(item, dict) else item
        return wanted.index(value) if value in wanted else len(wanted)

    result[field] = sorted(items, key=place)
