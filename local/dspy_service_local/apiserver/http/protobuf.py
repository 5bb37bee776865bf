"""Reads Kubernetes' protobuf for the few kinds that kubectl writes in it: `kubectl create secret` and its like.

Answers are JSON, which every client accepts. By hand and one way only: a generated codec of the real types is
megabytes, and the kinds below are small. Field numbers are those of Kubernetes' `generated.proto` files.
"""

import base64
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from dspy_service_local.apiserver import refusals

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"
_VARINT, _BYTES = 0, 2


class Field(NamedTuple):
    """`type` is a scalar's name or a message of the table below; `many` is 'list' or 'map'."""

    name: str
    type: str = "string"
    many: str = ""


Message = Mapping[int, Field]

_ATTRIBUTES = ("namespace", "verb", "group", "version", "resource", "subresource", "name")
_META = Field("metadata", "ObjectMeta")
_MESSAGES: Mapping[str, Message] = {
    "ObjectMeta": {
        1: Field("name"),
        2: Field("generateName"),
        3: Field("namespace"),
        5: Field("uid"),
        6: Field("resourceVersion"),
        7: Field("generation", "integer"),
        8: Field("creationTimestamp", "time"),
        11: Field("labels", many="map"),
        12: Field("annotations", many="map"),
        13: Field("ownerReferences", "OwnerReference", many="list"),
        14: Field("finalizers", many="list"),
    },
    "OwnerReference": {
        1: Field("kind"),
        3: Field("name"),
        4: Field("uid"),
        5: Field("apiVersion"),
        6: Field("controller", "boolean"),
        7: Field("blockOwnerDeletion", "boolean"),
    },
    "ConfigMap": {
        1: _META,
        2: Field("data", many="map"),
        3: Field("binaryData", "bytes", many="map"),
        4: Field("immutable", "boolean"),
    },
    "Secret": {
        1: _META,
        2: Field("data", "bytes", many="map"),
        3: Field("type"),
        4: Field("stringData", many="map"),
        5: Field("immutable", "boolean"),
    },
    "Namespace": {1: _META},
    "ServiceAccount": {1: _META, 4: Field("automountServiceAccountToken", "boolean")},
    "SelfSubjectReview": {1: _META},
    "SelfSubjectAccessReview": {1: _META, 2: Field("spec", "AccessSpec")},
    "AccessSpec": {1: Field("resourceAttributes", "Attributes"), 2: Field("nonResourceAttributes", "PathAttributes")},
    "Attributes": {number: Field(name) for number, name in enumerate(_ATTRIBUTES, 1)},
    "PathAttributes": {1: Field("path"), 2: Field("verb")},
    "DeleteOptions": {
        1: Field("gracePeriodSeconds", "integer"),
        2: Field("preconditions", "Preconditions"),
        4: Field("propagationPolicy"),
        5: Field("dryRun", many="list"),
    },
    "Preconditions": {1: Field("uid"), 2: Field("resourceVersion")},
}


def decode(body: bytes) -> dict[str, Any]:
    """The object as JSON would have it."""
    if not body.startswith(_MAGIC):
        raise refusals.bad_request("the request body is not Kubernetes protobuf")
    try:
        envelope = dict(_fields(body[len(_MAGIC) :]))
        type_meta = {number: bytes(value).decode() for number, value in _fields(envelope[1])}
        kind = type_meta.get(2, "")
        if kind not in _MESSAGES:
            raise refusals.unsupported_media_type(("application/json", "application/yaml"))
        return {"apiVersion": type_meta.get(1, ""), "kind": kind} | _message(_MESSAGES[kind], envelope.get(2, b""))
    except (KeyError, IndexError, ValueError, TypeError) as exc:
        raise refusals.bad_request(f"the request body is not valid protobuf: {exc}") from exc


def _message(message: Message, data: Any) -> dict[str, Any]:
    """Fields that are not in the table are skipped; empty strings mean absent, as Go writes them."""
    made: dict[str, Any] = {}
    for number, raw in _fields(data):
        field = message.get(number)
        if field is None:
            continue
        if field.many == "map":
            entry = dict(_fields(raw))
            key = bytes(entry.get(1, b"")).decode()
            made.setdefault(field.name, {})[key] = _value(field.type, entry.get(2, b""))
        elif field.many == "list":
            made.setdefault(field.name, []).append(_value(field.type, raw))
        elif (value := _value(field.type, raw)) != "":
            made[field.name] = value
    return made


def _value(type_: str, raw: Any) -> Any:
    if type_ == "string":
        return bytes(raw).decode()
    if type_ == "bytes":
        return base64.b64encode(raw).decode()
    if type_ == "integer":
        return int(raw)
    if type_ == "boolean":
        return bool(raw)
    if type_ == "time":
        seconds = dict(_fields(raw)).get(1)
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds else ""
    return _message(_MESSAGES[type_], raw)


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Field numbers with integers or bytes; the other wire types do not occur in these messages."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        value, position = _varint(data, position)
        if tag & 7 == _BYTES:
            if position + value > len(data):
                raise ValueError("a field is cut short")
            yield tag >> 3, data[position : position + value]
            position += value
        elif tag & 7 == _VARINT:
            yield tag >> 3, value
        else:
            raise ValueError(f"wire type {tag & 7}")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
