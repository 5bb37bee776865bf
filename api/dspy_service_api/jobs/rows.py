"""Reads what both programs made of a job's test rows, from `rows.jsonl` among its artifact's files.

The job's own code can write that file, so every line is held to the shape of an answer; what has another is left out.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import orjson

from dspy_service_api.jobs.artifact import read_file
from dspy_service_api.jobs.record import JobRecord
from dspy_service_core import nesting
from dspy_service_core.errors import NoArtifact, NoRows
from dspy_service_core.records import values
from dspy_service_core.storage import pod_files
from dspy_service_core.storage.store import Store

Json = dict[str, Any]
Outcome = Literal["won", "lost", "tied"]
_OUTCOMES: Mapping[str, Outcome] = {"won": "won", "lost": "lost", "tied": "tied"}
Which = Literal["all", "won", "lost", "tied", "changed", "failed"]


@dataclass(frozen=True, slots=True)
class ProgramAnswer:
    prediction: Json | None
    score: float | None
    """None of a row that failed."""
    error: str | None


@dataclass(frozen=True, slots=True)
class RowResult:
    n: int
    outcome: Outcome | None
    """None where only one program was scored."""
    inputs: Json
    gold: Json
    baseline: ProgramAnswer
    optimized: ProgramAnswer | None


_TAKES: Mapping[Which, Callable[[RowResult], bool]] = {
    "all": lambda row: True,
    "won": lambda row: row.outcome == "won",
    "lost": lambda row: row.outcome == "lost",
    "tied": lambda row: row.outcome == "tied",
    "changed": lambda row: row.outcome in ("won", "lost"),
    "failed": lambda row: row.baseline.score is None or (row.optimized is not None and row.optimized.score is None),
}


async def read_rows(store: Store, record: JobRecord, which: Which, after: int | None, limit: int) -> list[RowResult]:
    """Rows numbered above `after`. Raises `NoRows` for a job that kept none."""
    try:
        content = await read_file(store, record, pod_files.ROW_RESULTS)
    except NoArtifact as exc:
        raise NoRows from exc
    if content is None:
        raise NoRows
    # In a thread: there may be thousands of rows, and no other request is to wait for them.
    return await asyncio.to_thread(lambda: list(islice(_wanted(content, which, after), limit)))


def _wanted(content: bytes, which: Which, after: int | None) -> Iterator[RowResult]:
    for line in content.split(b"\n"):
        row = _row(line)
        if row is not None and (after is None or row.n > after) and _TAKES[which](row):
            yield row


def _row(line: bytes) -> RowResult | None:
    try:
        found = nesting.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(found, dict):
        return None
    number, outcome = values.count_of(found.get("n")), _OUTCOMES.get(str(found.get("outcome")))
    only_scored = found.get("outcome", "") is None and found.get("optimized") is None
    if number is None or (outcome is None and not only_scored):
        return None
    inputs, gold = (_object(found.get(name)) or {} for name in ("inputs", "gold"))
    optimized = None if only_scored else _answer(found.get("optimized"))
    return RowResult(number, outcome, inputs, gold, _answer(found.get("baseline")), optimized)


def _answer(found: Any) -> ProgramAnswer:
    said = _object(found) or {}
    error = said.get("error")
    return ProgramAnswer(
        _object(said.get("prediction")), values.number_of(said.get("score")), error if isinstance(error, str) else None
    )


def _object(found: Any) -> Json | None:
    return found if isinstance(found, dict) else None
