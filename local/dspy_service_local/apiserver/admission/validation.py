"""Values against a structural schema, in Kubernetes' words: JSON Schema by `jsonschema_rs`, and unique elements."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jsonschema_rs
import orjson

from dspy_service_core.kube.protocol import Object
from dspy_service_local.apiserver.admission.schema_nodes import Node
from dspy_service_local.apiserver.refusals import Problem, duplicate, invalid_value, not_supported, required

_KEPT = frozenset(
    {
        "type",
        "format",
        "enum",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "minLength",
        "maxLength",
        "pattern",
        "minItems",
        "maxItems",
        "uniqueItems",
        "minProperties",
        "maxProperties",
        "required",
        "multipleOf",
    }
)
_ANY_FORMAT = frozenset({"int32", "int64", "float", "double", "byte", "password"})
"""Formats that say how a number is held, or that the validator has no check for."""


class Validation:
    """One validator a property of the root, so that only what changed is checked."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._required = tuple(schema.get("required") or ())
        self._properties = {
            key: jsonschema_rs.Draft4Validator(json_schema(value), validate_formats=True)
            for key, value in (schema.get("properties") or {}).items()
            if key not in ("apiVersion", "kind")
        }

    def problems(self, obj: Object, changed: Sequence[str]) -> list[Problem]:
        found = [required(key) for key in self._required if key not in obj]
        for key in ("metadata", *changed) if "metadata" in self._properties else changed:
            validator = self._properties.get(key)
            if validator is None or validator.is_valid(obj[key]):
                continue
            found += [_problem(key, error) for error in validator.iter_errors(obj[key])]
        return found


def json_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The structural schema as a draft 4 JSON Schema, which shares OpenAPI's boolean exclusive bounds."""
    if schema.get("x-kubernetes-int-or-string"):
        return {"anyOf": [{"type": "integer"}, {"type": "string"}]} | _logic(schema)
    made = {key: value for key, value in schema.items() if key in _KEPT}
    if made.get("format") in _ANY_FORMAT:
        del made["format"]
    if not made.get("type"):
        made.pop("type", None)
    if "properties" in schema:
        made["properties"] = {key: json_schema(value) for key, value in schema["properties"].items()}
    if isinstance(schema.get("additionalProperties"), dict):
        made["additionalProperties"] = json_schema(schema["additionalProperties"])
    if isinstance(schema.get("items"), dict):
        made["items"] = json_schema(schema["items"])
    made |= _logic(schema)
    return {"anyOf": [{"type": "null"}, made]} if schema.get("nullable") else made


def _logic(schema: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        key: [json_schema(each) for each in schema[key]] for key in ("allOf", "anyOf", "oneOf") if key in schema
    }
    return made | ({"not": json_schema(schema["not"])} if "not" in schema else {})


def path_of(root: str, parts: Sequence[str | int]) -> str:
    return root + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)


_Wording = Callable[[str, Any, Any], Problem]


def _in_body(text: str) -> _Wording:
    return lambda path, value, limit: invalid_value(path, value, f"{path} in body {text.format(limit)}")


def _limit(reason: str, text: str) -> _Wording:
    return lambda path, value, limit: Problem(path, reason, text.format(limit, size=_size(value)))


_WORDING: Mapping[str, _Wording] = {
    "enum": lambda path, value, options: not_supported(path, value, options),
    "minimum": _in_body("should be greater than or equal to {}"),
    "maximum": _in_body("should be less than or equal to {}"),
    "exclusiveMinimum": _in_body("should be greater than {}"),
    "exclusiveMaximum": _in_body("should be less than {}"),
    "multipleOf": _in_body("should be a multiple of {}"),
    "minLength": _in_body("should be at least {} chars long"),
    "pattern": _in_body("should match '{}'"),
    "minItems": _in_body("should have at least {} items"),
    "minProperties": _in_body("should have at least {} properties"),
    "maxLength": _limit("FieldValueTooLong", "Too long: may not be more than {} bytes"),
    "maxItems": _limit("FieldValueTooMany", "Too many: {size}: must have at most {} items"),
    "maxProperties": _limit("FieldValueTooMany", "Too many: {size}: must have at most {} items"),
}


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str | list | dict) else 0


def _problem(root: str, error: jsonschema_rs.ValidationError) -> Problem:
    path, keyword = path_of(root, error.instance_path), error.kind.name
    if keyword == "required":
        return required(f"{path}.{error.kind.value}")
    if keyword == "type":
        return _type_problem(path, error)
    if keyword == "anyOf" and (nested := _of_nullable(error)) is not None:
        return _problem(root, nested)
    if keyword == "format":
        why = f"{path} in body must be of type {error.kind.value}: {orjson.dumps(error.instance).decode()}"
        return invalid_value(path, error.instance, why)
    wording = _WORDING.get(keyword)
    return wording(path, error.instance, error.kind.value) if wording else _other(path, error)


def _of_nullable(error: jsonschema_rs.ValidationError) -> jsonschema_rs.ValidationError | None:
    """A nullable value is `anyOf [null, schema]` for the library; only the schema's complaint is news."""
    context = getattr(error.kind, "context", None) or []
    if len(context) == 2 and len(context[0]) == 1 and context[0][0].kind.name == "type" and context[1]:
        found: jsonschema_rs.ValidationError = context[1][0]
        return found
    return None


def _type_problem(path: str, error: jsonschema_rs.ValidationError) -> Problem:
    wanted = error.kind.value
    wanted = ",".join(wanted) if isinstance(wanted, list) else str(wanted)
    given = _TYPE_NAMES.get(type(error.instance), "object")
    why = f'{path} in body must be of type {wanted}: "{given}"'
    return Problem(path, "FieldValueTypeInvalid", f'Invalid value: "{given}": {why}')


_TYPE_NAMES: Mapping[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
    type(None): "null",
}


def _other(path: str, error: jsonschema_rs.ValidationError) -> Problem:
    return Problem(
        path, "FieldValueInvalid", f'Invalid value: "{_TYPE_NAMES.get(type(error.instance))}": {error.message}'
    )


def list_problems(node: Node, value: Any, path: str) -> list[Problem]:
    """Elements that occur twice in a list of type set or map."""
    found: list[Problem] = []
    if isinstance(value, dict):
        for key, item in value.items():
            child = node.child(key)
            if child is not None and child.lists_below:
                found += list_problems(child, item, f"{path}.{key}")
    elif isinstance(value, list):
        found += _repeated(node, value, path)
        if node.items is not None and node.items.lists_below:
            for index, item in enumerate(value):
                found += list_problems(node.items, item, f"{path}[{index}]")
    return found


def _repeated(node: Node, value: list[Any], path: str) -> list[Problem]:
    if node.list_type == "atomic":
        return []
    found, seen = [], set()
    for index, item in enumerate(value):
        shown = {key: item.get(key) for key in node.list_keys if key in item} if node.list_keys else item
        identity = orjson.dumps(shown, option=orjson.OPT_SORT_KEYS)
        if identity in seen:
            found.append(duplicate(f"{path}[{index}]", shown))
        seen.add(identity)
    return found
