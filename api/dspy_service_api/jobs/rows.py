"""Reads what both programs made of a job's test rows, from `rows.jsonl` among its artifact's files.

The job's own code can write that file, so every line is held to the shape of an answer; what has another is left out.
"""

import asyncio
from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from typing import Any, Literal

import orjson
from cachetools import LRUCache

from dspy_service_api.jobs.artifact import read_file
from dspy_service_api.jobs.record import JobRecord
from dspy_service_core import nesting
from dspy_service_core.errors import NoArtifact, NoRows, StoreError
from dspy_service_core.records import values
from dspy_service_core.storage import pod_files
from dspy_service_core.storage.store import Store, artifact_folder

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
_BITS: Mapping[Which, int] = {which: 1 << bit for bit, which in enumerate(_TAKES)}
_INDEX_BYTES = 8 * 1024 * 1024
"""For all indices together: enough for 200,000 rows."""
Key = tuple[str, str]


class _Index:
    """Where each row of one file lies, and what pages select by: about 40 bytes a row."""

    def __init__(self, content: bytes) -> None:
        self._numbers, self._starts, self._lengths, self._digests = array("q"), array("q"), array("q"), array("Q")
        self._taken = bytearray()
        """For each row the bits of those `Which` that take it."""
        start = 0
        for line in content.split(b"\n"):
            if (row := _row(line)) is not None:
                self._add(row, start, line)
            start += len(line) + 1

    @property
    def size(self) -> int:
        return 40 * len(self._numbers) + 1000

    def page(self, which: Which, after: int | None, limit: int) -> list[int]:
        """The places of its rows, in the file's order."""
        least, bit = -1 if after is None else after, _BITS[which]
        rows = enumerate(zip(self._numbers, self._taken, strict=True))
        found = (place for place, (number, taken) in rows if number > least and taken & bit)
        return list(islice(found, limit))

    def span(self, place: int) -> tuple[int, int]:
        return self._starts[place], self._starts[place] + self._lengths[place]

    def is_row(self, place: int, line: bytes) -> bool:
        """Whether it is the line that was there when the whole file was compared with its digest."""
        return _digest(line) == self._digests[place]

    def _add(self, row: RowResult, start: int, line: bytes) -> None:
        self._numbers.append(row.n)
        self._starts.append(start)
        self._lengths.append(len(line))
        self._digests.append(_digest(line))
        self._taken.append(sum(bit for which, bit in _BITS.items() if _TAKES[which](row)))


class RowPages:
    """Reads pages of rows. The first page of a file costs reading it whole; each further one reads its own rows."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._indices: LRUCache[Key, _Index] = LRUCache(_INDEX_BYTES, getsizeof=lambda index: index.size)

    async def read(self, record: JobRecord, which: Which, after: int | None, limit: int) -> list[RowResult]:
        """Rows numbered above `after`. Raises `NoRows` for a job that kept none."""
        key = _key_of(record)
        known = self._indices.get(key)
        if known is not None and (rows := await self._page(key, known, known.page(which, after, limit))) is not None:
            return rows
        content = await self._whole(record)
        # In a thread: there may be thousands of rows, and no other request is to wait for them.
        index = await asyncio.to_thread(_Index, content)
        if index.size <= _INDEX_BYTES:
            self._indices[key] = index
        lines = [content[slice(*index.span(place))] for place in index.page(which, after, limit)]
        return await asyncio.to_thread(_rows, lines)

    async def _page(self, key: Key, index: _Index, places: list[int]) -> list[RowResult] | None:
        """None if the file is no longer the one that the index is of."""
        try:
            lines = await self._store.ranges_async(key[0], [index.span(place) for place in places]) if places else []
        except StoreError:
            return None
        if not all(map(index.is_row, places, lines)):
            return None
        return await asyncio.to_thread(_rows, lines)

    async def _whole(self, record: JobRecord) -> bytes:
        try:
            content = await read_file(self._store, record, pod_files.ROW_RESULTS)
        except NoArtifact as exc:
            raise NoRows from exc
        if content is None:
            raise NoRows
        return content


def _key_of(record: JobRecord) -> Key:
    """The file in the store, and the digest that the job's status has of its manifest."""
    digest = record.end.artifact.digest if record.end and record.end.artifact else ""
    return f"{artifact_folder(record.namespace, record.store_id)}/{pod_files.ROW_RESULTS}", digest


def _digest(line: bytes) -> int:
    return int.from_bytes(blake2b(line, digest_size=8).digest())


def _rows(lines: Iterable[bytes]) -> list[RowResult]:
    return [row for line in lines if (row := _row(line)) is not None]


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
