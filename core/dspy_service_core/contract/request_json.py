"""Parses the JSON of a request's body, and checks in fast loops what pydantic never sees.

orjson refuses what is no JSON (NaN, lone surrogates, bytes that are no UTF-8, a thousand levels). What remains to be
refused here could not be stored unchanged: integers beyond 64 bits, which the cluster would round, and values nested so
deeply that orjson could not write them again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from dspy_service_core import json_text, nesting
from dspy_service_core.contract.request_size import Body, large_integers, refuse_many_values
from dspy_service_core.errors import FieldProblem, InvalidRequest
from dspy_service_core.nesting import MAX_DEPTH
from dspy_service_core.rows.rows import EMPTY_DATASET

BODY = "body"
"""The path of the body as a whole, for messages."""
MAX_SETTINGS = 10_000
"""How many values a request may have beside its dataset. Pydantic checks and copies them one by one, and a job has room
for 16 KiB of them."""
MOST_PROBLEMS = 100
_LIMIT = 2**63
_LOOKED_INTO = 1024 * 1024


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Limits that are settings of the service."""

    values: int = 500_000
    rows: int = 200_000
    columns: int = 1_000


DEFAULTS = RequestLimits()


def parse_object(body: Body, limits: RequestLimits = DEFAULTS) -> dict[str, Any]:
    refuse_many_values(body, limits.values)
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise InvalidRequest([_unreadable(body, exc)]) from None
    if not isinstance(document, dict):
        raise InvalidRequest([FieldProblem(BODY, "Input should be a JSON object", "object_type")])
    _refuse_unkeepable(document, body)
    _refuse_many_settings(document)
    return document


def dataset_problems(rows: object, limits: RequestLimits = DEFAULTS) -> list[FieldProblem]:
    if not isinstance(rows, list):
        return [FieldProblem("dataset", "Input should be a list of objects", "list_type")]
    if not rows:
        return [FieldProblem("dataset", EMPTY_DATASET, "dataset_empty")]
    if len(rows) > limits.rows:
        message = f"Holds {len(rows)} rows; at most {limits.rows} are allowed: send fewer, or use spec.dataset.uri"
        return [FieldProblem("dataset", message, "too_many_rows")]
    wrong = [index for index, row in enumerate(rows) if type(row) is not dict or len(row) > limits.columns]
    return [_row_problem(index, rows[index], limits) for index in wrong[:MOST_PROBLEMS]]


def _unreadable(body: Body, exc: orjson.JSONDecodeError) -> FieldProblem:
    """A body that is too deep for orjson is read again with its deep parts cut off, to name the field. This is done for
    small bodies only, because it takes time."""
    if found := json_text.not_a_number(exc):
        return FieldProblem(found.path or BODY, f"{found.written} is not JSON: {found.cure}", "not_a_number")
    malformed = FieldProblem(BODY, f"Malformed JSON: {exc}", "json_invalid")
    if len(body) > _LOOKED_INTO:
        return malformed
    try:
        document = orjson.loads(nesting.cut(bytes(body)))
    except orjson.JSONDecodeError:
        return malformed
    return _too_deep(document) if isinstance(document, dict) else malformed


def _too_deep(document: dict[str, Any]) -> FieldProblem:
    return FieldProblem(_deepest(document), f"Nested deeper than {MAX_DEPTH} levels", "too_deep")


def _row_problem(index: int, row: object, limits: RequestLimits) -> FieldProblem:
    if not isinstance(row, dict):
        return FieldProblem(f"dataset[{index}]", "Each row should be an object", "row_type")
    message = f"Has {len(row)} columns; at most {limits.columns} are allowed: leave out what is not mapped"
    return FieldProblem(f"dataset[{index}]", message, "too_many_columns")


def _refuse_many_settings(document: Mapping[str, Any]) -> None:
    for name, value in document.items():
        if name != "dataset" and isinstance(value, dict | list) and _values(value) > MAX_SETTINGS:
            message = f"Holds more than {MAX_SETTINGS} values, and no more are allowed: leave out what is not needed"
            raise InvalidRequest([FieldProblem(name[:256], message, "too_many_values")])


def _values(value: dict[str, Any] | list[Any]) -> int:
    count, containers = 0, [value]
    while containers and count <= MAX_SETTINGS:
        count += sum(map(len, containers))
        containers, _large = _level(containers)
    return count


def _refuse_unkeepable(document: dict[str, Any], body: Body) -> None:
    containers: list[dict[str, Any] | list[Any]] = [document]
    large = False
    for _depth in range(MAX_DEPTH + 1):
        if not containers:
            break
        containers, found = _level(containers)
        large = large or found
    else:
        raise InvalidRequest([_too_deep(document)])
    for digits in large_integers(body) if large else ():
        _refuse_large(digits)


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


def _refuse_large(digits: str) -> None:
    """Refuses integers only. It needs the digits, because orjson makes a float of them as of 1e20, which is allowed."""
    number = digits.removeprefix("-")
    if len(number) > 19 or not -_LIMIT <= int(digits) < _LIMIT:
        shown = digits if len(digits) <= 24 else f"{digits[:20]}... ({len(digits)} digits)"
        raise InvalidRequest([FieldProblem(BODY, f"Integer {shown} does not fit into 64 bits", "int_too_large")])


def _deepest(document: dict[str, Any]) -> str:
    """The top-level field that is nested too deeply."""
    for name, value in document.items():
        containers = [value] if isinstance(value, dict | list) else []
        for _ in range(MAX_DEPTH):
            containers, _large = _level(containers)
        if containers:
            return name
    return BODY
