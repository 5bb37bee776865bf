"""CEL rules of a schema at work: which apply to a changed object, and the words when one is broken.

Last step of admission, run only on values that fit their schema.
"""

from collections.abc import Sequence
from typing import Any

from dspy_service_core.kube.protocol import Object
from dspy_service_local.apiserver.admission.programs import CONTEXT, Rule, optional
from dspy_service_local.apiserver.admission.projection import Reads, escaped, projected
from dspy_service_local.apiserver.admission.schema_nodes import Node
from dspy_service_local.apiserver.refusals import Problem

_REASONS = {
    "FieldValueInvalid": "Invalid value",
    "FieldValueForbidden": "Forbidden",
    "FieldValueRequired": "Required value",
    "FieldValueDuplicate": "Duplicate value",
}


def broken_rules(root: Node, obj: Object, old: Object | None, changed: Sequence[str]) -> list[Problem]:
    """Problems of the changed parts of an object, and of the rules at its root."""
    found = []
    if root.rules and changed:
        found += _run(root, _root_view(obj), _root_view(old) if old else None, "")
    for key in changed:
        node = root.child(key)
        if node is not None and node.rules_below:
            found += _walk(node, obj[key], old.get(key) if old else None, key)
    return found


def _root_view(obj: Object) -> Object:
    """Rules at the root see of the metadata only the names."""
    names = {key: value for key, value in obj["metadata"].items() if key in ("name", "generateName")}
    return obj | {"metadata": names}


def _walk(node: Node, value: Any, old: Any, path: str) -> list[Problem]:
    found = _run(node, value, old, path) if node.rules and value is not None else []
    if isinstance(value, dict):
        before = old if isinstance(old, dict) else {}
        for key, item in value.items():
            child = node.child(key)
            if child is not None and child.rules_below:
                found += _walk(child, item, before.get(key), f"{path}.{key}")
    elif isinstance(value, list) and node.items is not None and node.items.rules_below:
        earlier = _by_key(node, old)
        for index, item in enumerate(value):
            found += _walk(node.items, item, earlier.get(_key(node, item)), f"{path}[{index}]")
    return found


def _by_key(node: Node, old: Any) -> dict[Any, Any]:
    """Old elements of a list of type map; those of other lists cannot be told apart."""
    return {_key(node, item): item for item in old} if node.list_keys and isinstance(old, list) else {}


def _key(node: Node, item: Any) -> Any:
    return tuple(item.get(key) for key in node.list_keys) if isinstance(item, dict) else None


def _run(node: Node, value: Any, old: Any, path: str) -> list[Problem]:
    found: list[Problem] = []
    shown: Reads = {}
    for rule in node.rules:
        if rule.transition and old is None and not rule.optional_old:
            continue
        needed = rule.reads_self if rule.transition else node.read
        if needed is not shown:  # one rule after another sees the same value, and handing it over costs most
            CONTEXT.add_variable("self", converted(node, projected(needed, value)))
            shown = needed
        if rule.transition:
            CONTEXT.add_variable("oldSelf", _old_self(node, rule, old))
        problem = _broken(rule, value, path)
        if problem is not None:
            found.append(problem)
    return found


def _old_self(node: Node, rule: Rule, old: Any) -> Any:
    shown = converted(node, projected(rule.reads_old, old))
    if not rule.optional_old:
        return shown
    return optional(None if old is None else shown)


def _broken(rule: Rule, value: Any, path: str) -> Problem | None:
    field = f"{path}{rule.field_path}".lstrip(".") or "<nil>"
    shown = _shown(value)
    try:
        if rule.program.execute(CONTEXT) is True:
            return None
    except Exception as exc:  # the library raises whatever its evaluation meets, KeyError and RuntimeError alike
        why = f"rule evaluation error: {exc} evaluating rule: {rule.source}"
        return Problem(field, "FieldValueInvalid", f"Invalid value: {shown}: {why}")
    begin = _REASONS.get(rule.reason, "Invalid value")
    message = (
        f"{begin}: {shown}: {_message(rule)}" if rule.reason != "FieldValueForbidden" else f"{begin}: {_message(rule)}"
    )
    return Problem(field, rule.reason, message)


def _message(rule: Rule) -> str:
    if rule.message_program is None:
        return rule.message
    try:
        text = rule.message_program.execute(CONTEXT)
    except Exception:  # as above; Kubernetes then falls back to the fixed message too
        return rule.message
    return text if isinstance(text, str) and text.strip() else rule.message


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return '"object"'
    if isinstance(value, list):
        return '"array"'
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def converted(node: Node, value: Any) -> Any:
    if not node.converts_below:
        return value
    if isinstance(value, dict):
        return {
            escaped(key) if key in node.properties else key: converted(child, item) if child else item
            for key, item in value.items()
            for child in [node.child(key)]
            if item is not None or child is None or not child.nullable
        }
    if isinstance(value, list) and node.items is not None:
        return [converted(node.items, item) for item in value]
    if node.schema.get("type") == "number" and isinstance(value, int):
        return float(value)
    return value
