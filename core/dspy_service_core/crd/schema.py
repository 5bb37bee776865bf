"""Turns Pydantic's JSON Schema into a structural schema of Kubernetes, which has no references, nothing nullable, and
nothing untyped except free-form fields.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

Json = dict[str, Any]

_KEPT = (
    "type",
    "description",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minimum",
    "maximum",
    "x-kubernetes-validations",
)
_DROPPED = frozenset({"title", "default", "required", "properties", "items", "additionalProperties", "propertyNames"})
_FREE = {"x-kubernetes-preserve-unknown-fields": True}
_INT64 = {"minimum": -(2**63), "maximum": 2**63 - 1}
"""Bounds that `format: int64` implies, so they are left out. Written as bounds they would refuse every integer: an API
server reads bounds as doubles, and the double nearest to the maximum is one more than an int64 can hold."""


class UnsupportedSchema(Exception):
    """A model uses something that a structural schema cannot express."""


def structural(model: type[BaseModel], validations: Mapping[str, list[Json]], *, defaults: bool) -> Json:
    """`validations` are CEL rules by model name. A status has no `defaults`, because each part of it has one writer."""
    schema = model.model_json_schema(by_alias=True)
    definitions = {model.__name__: schema, **schema.pop("$defs", {})}
    for name, rules in validations.items():
        definitions[name]["x-kubernetes-validations"] = rules
    return _Inliner(definitions, defaults).inline(schema)


class _Inliner:
    def __init__(self, definitions: Mapping[str, Json], defaults: bool) -> None:
        self._definitions = definitions
        self._defaults = defaults

    def inline(self, given: Json) -> Json:
        schema = self._plain(given)
        if unknown := schema.keys() - _DROPPED - set(_KEPT):
            raise UnsupportedSchema(f"{sorted(unknown)} in {schema}")
        result = {key: schema[key] for key in _KEPT if key in schema}
        if "type" not in schema:
            return result | _FREE
        if schema["type"] == "integer":
            result = {key: value for key, value in result.items() if _INT64.get(key) != value} | {"format": "int64"}
        if schema["type"] == "array":
            result |= {"items": self.inline(schema["items"]), "x-kubernetes-list-type": "atomic"}
        if schema["type"] == "object":
            result |= self._object(schema)
        return result | self._default(schema, result)

    def _plain(self, schema: Json) -> Json:
        """The schema with its references resolved and `null` removed from alternatives."""
        if "$ref" in schema:
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            return self._plain({**self._definitions[schema["$ref"].rpartition("/")[2]], **beside})
        if "anyOf" in schema:
            beside = {key: value for key, value in schema.items() if key != "anyOf"}
            options = [option for option in schema["anyOf"] if option != {"type": "null"}]
            if len(options) != 1:
                raise UnsupportedSchema(f"a choice of types in {schema}")
            return self._plain({**options[0], **beside})
        if "const" in schema:
            return {**{key: value for key, value in schema.items() if key != "const"}, "enum": [schema["const"]]}
        return schema

    def _object(self, schema: Json) -> Json:
        if "properties" in schema:
            properties = {name: self.inline(its) for name, its in schema["properties"].items()}
            needed = [name for name in schema.get("required", []) if "default" not in properties[name]]
            return {"properties": properties} | ({"required": needed} if needed else {})
        additional = schema.get("additionalProperties")
        values = self._plain(additional) if isinstance(additional, dict) else {}
        if "type" not in values:
            return dict(_FREE)  # Kubernetes has no free-form values in a map; a free-form object says the same
        return {"additionalProperties": self.inline(values)}

    def _default(self, schema: Json, result: Json) -> Json:
        if not self._defaults:
            return {}
        default = schema.get("default")
        if default is not None and (default != "" or "enum" in schema):
            return {"default": default}
        nested = {name: its["default"] for name, its in result.get("properties", {}).items() if "default" in its}
        # The complete default and not `{}`: the API server runs the rules on a default before it fills in nested ones.
        return {"default": nested} if nested and "required" not in result else {}
