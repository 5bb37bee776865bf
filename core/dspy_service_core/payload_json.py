"""The JSON of a request's body, looked at in tight loops: the part of `payload` that pydantic never sees.

orjson refuses what is no JSON (NaN, lone surrogates, bytes that are no UTF-8, a thousand levels). What is left to
refuse here is what could not be kept as it came: integers beyond 64 bits, which the cluster would round, and values
nested so deeply that orjson could not write them again.
"""

import json
from typing import Any

import orjson

from dspy_service_core import nesting
from dspy_service_core.errors import FieldProblem, InvalidRequest
from dspy_service_core.nesting import MAX_DEPTH

BODY = "body"
"""The path of the whole."""
EMPTY_DATASET = "Dataset must contain at least one row."
MOST_PROBLEMS = 100
_LIMIT = 2**63
_LOOKED_INTO = 1024 * 1024


def parse_object(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise InvalidRequest([_unreadable(body, exc)]) from None
    if not isinstance(document, dict):
        raise InvalidRequest([FieldProblem(BODY, "Input should be a JSON object", "object_type")])
    _refuse_unkeepable(document, body)
    return document


def dataset_problems(rows: object) -> list[FieldProblem]:
    if not isinstance(rows, list):
        return [FieldProblem("dataset", "Input should be a list of objects", "list_type")]
    if not rows:
        return [FieldProblem("dataset", EMPTY_DATASET, "dataset_empty")]
    wrong = [index for index, row in enumerate(rows) if type(row) is not dict]
    return [
        FieldProblem(f"dataset[{index}]", "Each row should be an object", "row_type") for index in wrong[:MOST_PROBLEMS]
    ]


def _unreadable(body: bytes, exc: orjson.JSONDecodeError) -> FieldProblem:
    """What orjson finds too deep is read again without its depths, to name the field: a small body only, as that takes
    time."""
    malformed = FieldProblem(BODY, f"Malformed JSON: {exc}", "json_invalid")
    if len(body) > _LOOKED_INTO:
        return malformed
    try:
        document = orjson.loads(nesting.cut(body))
    except orjson.JSONDecodeError:
        return malformed
    return _too_deep(document) if isinstance(document, dict) else malformed


def _too_deep(document: dict[str, Any]) -> FieldProblem:
    return FieldProblem(_deepest(document), f"Nested deeper than {MAX_DEPTH} levels", "too_deep")


def _refuse_unkeepable(document: dict[str, Any], body: bytes) -> None:
    containers: list[dict[str, Any] | list[Any]] = [document]
    large = False
    for _depth in range(MAX_DEPTH + 1):
        if not containers:
            break
        containers, found = _level(containers)
        large = large or found
    else:
        raise InvalidRequest([_too_deep(document)])
    if large:
        json.loads(body, parse_int=_refuse_large)


def _level(containers: list[Any]) -> tuple[list[Any], bool]:
    """The containers one level down, and whether a number here is beyond 64 bits."""
    below = []
    large = False
    for container in containers:
        for value in container.values() if type(container) is dict else container:
            kind = type(value)
            if kind is str:
                continue
            if kind is dict or kind is list:
                below.append(value)
            elif (kind is int or kind is float) and not -_LIMIT < value < _LIMIT:
                large = True
    return below, large


def _refuse_large(digits: str) -> int:
    """Only integers: 1e20 is a fine float, and orjson gives both alike."""
    if len(digits) > 20 or not -_LIMIT <= int(digits) < _LIMIT:
        shown = digits if len(digits) <= 24 else f"{digits[:20]}... ({len(digits)} digits)"
        raise InvalidRequest([FieldProblem(BODY, f"Integer {shown} does not fit into 64 bits", "int_too_large")])
    return 0


def _deepest(document: dict[str, Any]) -> str:
    """The top-level field that is nested too deeply."""
    for name, value in document.items():
        containers = [value] if isinstance(value, dict | list) else []
        for _ in range(MAX_DEPTH):
            containers, _large = _level(containers)
        if containers:
            return name
    return BODY
