"""CEL rules of a schema (`x-kubernetes-validations`), transition rules among them.

Last step of admission, run only on values that fit their schema. What the CEL library lacks of Kubernetes' own
functions (quantities, URLs, IPs, optional syntax) makes a definition that uses it fail at creation, not in silence.
"""

import sys
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

sys.modules.setdefault("cel.cli", types.ModuleType("cel.cli"))  # its command line costs 16 MB and is not used here
import cel  # noqa: E402  (after the line above, for its sake)
from cel.stdlib import add_stdlib_to_context  # noqa: E402

from dspy_service_core.kube.protocol import Object  # noqa: E402
from dspy_service_local.apiserver.projection import Reads, escaped, projected, reads  # noqa: E402
from dspy_service_local.apiserver.refusals import Problem  # noqa: E402

if TYPE_CHECKING:
    from dspy_service_local.apiserver.schema import Node

_REASONS = {
    "FieldValueInvalid": "Invalid value",
    "FieldValueForbidden": "Forbidden",
    "FieldValueRequired": "Required value",
    "FieldValueDuplicate": "Duplicate value",
}


class RuleError(ValueError):
    """A rule that cannot be compiled; the message is the compiler's."""


@dataclass(frozen=True, slots=True)
class Rule:
    program: Any
    source: str
    message: str
    message_program: Any
    reason: str
    field_path: str
    transition: bool
    optional_old: bool
    reads_self: Reads
    reads_old: Reads


def compile_rules(rules: Sequence[Mapping[str, Any]]) -> tuple[Rule, ...]:
    return tuple(_compiled(rule) for rule in rules)


def _compiled(rule: Mapping[str, Any]) -> Rule:
    source = rule["rule"]
    program = _program(source)
    expression = rule.get("messageExpression")
    read = f"{source} {expression or ''}"
    return Rule(
        program=program,
        source=source,
        message=rule.get("message") or f"failed rule: {' '.join(source.split())}",
        message_program=_program(expression) if expression else None,
        reason=rule.get("reason") or "FieldValueInvalid",
        field_path=rule.get("fieldPath") or "",
        transition="oldSelf" in program.variables(),
        optional_old=bool(rule.get("optionalOldSelf")),
        reads_self=reads(read, "self"),
        reads_old=reads(read, "oldSelf"),
    )


def _program(source: str) -> Any:
    try:
        program = cel.compile(source)
    except (ValueError, RuntimeError) as exc:
        raise RuleError(str(exc)) from exc
    known = _CONTEXT.functions.keys() | _NATIVE
    for function in program.functions():
        if function.isidentifier() and not function.startswith(("_", "@")) and function not in known:
            raise RuleError(f"undeclared reference to '{function}'")
    return program


_CONTEXT = cel.Context()
add_stdlib_to_context(_CONTEXT)
_NATIVE = frozenset(
    {
        "size",
        "has",
        "all",
        "exists",
        "exists_one",
        "map",
        "filter",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "timestamp",
        "duration",
        "contains",
        "startsWith",
        "endsWith",
        "matches",
        "type",
        "dyn",
        "getFullYear",
        "getMonth",
        "getDayOfYear",
        "getDayOfMonth",
        "getDate",
        "getDayOfWeek",
        "getHours",
        "getMinutes",
        "getSeconds",
        "getMilliseconds",
        "optional",
        "none",
        "of",
        "ofNonZeroValue",
        "hasValue",
        "value",
        "orValue",
        "or",
    }
)


def broken_rules(root: "Node", obj: Object, old: Object | None, changed: Sequence[str]) -> list[Problem]:
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


def _walk(node: "Node", value: Any, old: Any, path: str) -> list[Problem]:
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


def _by_key(node: "Node", old: Any) -> dict[Any, Any]:
    """Old elements of a list of type map; those of other lists cannot be told apart."""
    return {_key(node, item): item for item in old} if node.list_keys and isinstance(old, list) else {}


def _key(node: "Node", item: Any) -> Any:
    return tuple(item.get(key) for key in node.list_keys) if isinstance(item, dict) else None


def _run(node: "Node", value: Any, old: Any, path: str) -> list[Problem]:
    found: list[Problem] = []
    for rule in node.rules:
        if rule.transition and old is None and not rule.optional_old:
            continue
        _CONTEXT.add_variable("self", converted(node, projected(rule.reads_self, value)))
        if rule.transition:
            _CONTEXT.add_variable("oldSelf", _old_self(node, rule, old))
        problem = _broken(rule, value, path)
        if problem is not None:
            found.append(problem)
    return found


def _old_self(node: "Node", rule: Rule, old: Any) -> Any:
    shown = converted(node, projected(rule.reads_old, old))
    if not rule.optional_old:
        return shown
    return cel.OptionalValue.none() if old is None else cel.OptionalValue.of(shown)


def _broken(rule: Rule, value: Any, path: str) -> Problem | None:
    field = f"{path}{rule.field_path}".lstrip(".") or "<nil>"
    shown = _shown(value)
    try:
        if rule.program.execute(_CONTEXT) is True:
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
        text = rule.message_program.execute(_CONTEXT)
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


def needs_conversion(schema: Mapping[str, Any]) -> bool:
    """Numbers must be doubles, and names that are no CEL identifiers are escaped."""
    return schema.get("type") == "number" or any(escaped(key) != key for key in schema.get("properties") or ())


def converted(node: "Node", value: Any) -> Any:
    if not node.converts_below:
        return value
    if isinstance(value, dict):
        return {
            escaped(key) if key in node.properties else key: converted(child, item) if child else item
            for key, item in value.items()
            for child in [node.child(key)]
        }
    if isinstance(value, list) and node.items is not None:
        return [converted(node.items, item) for item in value]
    if node.schema.get("type") == "number" and isinstance(value, int):
        return float(value)
    return value
