"""The programs that a search tries, one record each: a line of the stream `candidates`, and an entry of the answer.

A candidate's number is its place in the stream, from 1, all attempts together; `parents` are such numbers. Without
pydantic, since the reporter reads these lines.
"""

from dataclasses import field

import orjson

from dspy_service_core.records import values
from dspy_service_core.records.record import Decimal, JsonObject, Record, document, record, says

MAX_BYTES = 256 * 1024
"""Bytes of a candidate as JSON. What is larger is cut: demos can hold whole documents."""
_LONGEST_TEXTS = (16 * 1024, 2 * 1024, 256)


@record
class Candidate(Record):
    parents: list[int] = field(metadata=says("Numbers of the candidates that it was made from."))
    at_call: int = field(metadata=says("Metric calls of the search when it came.", alias="at_call"))
    score: Decimal | None = field(
        default=None, metadata=says("Its score on `rows` rows, 0 to 100; null if it was not scored.")
    )
    rows: int = field(kw_only=True, metadata=says("How many rows it was scored on."))
    accepted: bool = field(kw_only=True, metadata=says("Whether the search kept it."))
    changes: JsonObject = field(
        kw_only=True,
        metadata=says("By predictor, its instructions and demos; null for what is as in the program as given."),
    )


def line(candidate: Candidate) -> bytes:
    """As JSON within `MAX_BYTES`: longer texts are cut first, then demos are left out from the end."""
    found = document(candidate)
    encoded = orjson.dumps(found)
    for longest in _LONGEST_TEXTS:
        if len(encoded) <= MAX_BYTES:
            return encoded
        encoded = orjson.dumps(found | {"changes": _cut(candidate.changes, longest)})
    return encoded if len(encoded) <= MAX_BYTES else orjson.dumps(found | {"changes": _fewest(candidate.changes)})


def _cut(value: object, longest: int) -> object:
    if isinstance(value, str):
        return values.cut(value, longest)
    if isinstance(value, dict):
        return {_cut(key, longest): _cut(item, longest) for key, item in value.items()}
    return [_cut(item, longest) for item in value] if isinstance(value, list) else value


def _fewest(changes: JsonObject) -> JsonObject:
    """As many demos as there is room for, with an equal share for each predictor."""
    share = MAX_BYTES // 2 // max(len(changes), 1)
    return {str(_cut(name, _LONGEST_TEXTS[-1])): _within(change, share) for name, change in changes.items()}


def _within(change: JsonObject, room: int) -> JsonObject:
    cut: JsonObject = dict(_cut(change, min(_LONGEST_TEXTS[-1], room)))  # type: ignore[call-overload]
    kept = []
    for demo in cut.get("demos") or []:
        room -= len(orjson.dumps(demo))
        if room < 0:
            break
        kept.append(demo)
    return cut | {"demos": kept if cut.get("demos") is not None else None}
