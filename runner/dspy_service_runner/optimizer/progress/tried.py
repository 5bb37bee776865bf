"""Tells of each program that the search tries, as a line of `candidates.jsonl`, once in all attempts together.

An attempt that follows another has the other's lines. What it tries again (most optimizers begin anew, and the journal
answers) is recognized by its changes and its number of rows, and not told again: of equal ones the first is meant, then
the second, as often as there are any. So a score that chance has a part in makes no second candidate.
"""

import hashlib
import logging
import threading
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from dspy_service_core.checks.state_fit import predictors_of
from dspy_service_core.records.candidates import Candidate, line
from dspy_service_core.records.record import JsonObject, read
from dspy_service_runner.optimizer.outbox import Outbox
from dspy_service_runner.optimizer.program_state import State

logger = logging.getLogger("dspy_service.candidates")

_Sort = tuple[bytes, int]
_Parts = tuple[str | None, list[Any]]


class _Earlier(NamedTuple):
    """What has to be known of an earlier attempt's candidate, beside its sort: prompts and demos may be large."""

    number: int
    accepted: bool
    at_call: int


class Tried:
    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._lock = threading.Lock()
        self._given: Mapping[str, Any] = {}
        self._earlier: defaultdict[_Sort, deque[_Earlier]] = defaultdict(deque)
        self.count = 0
        """Candidates of all attempts."""

    def begin(self, given: State, earlier: Path) -> None:
        """`earlier`: the lines of earlier attempts."""
        self._given = predictors_of(given)
        if not earlier.is_file():
            return
        with earlier.open("rb") as lines:
            for content in lines:
                self._remember(content)

    def tell(
        self,
        state: State,
        score: float | None,
        rows: int,
        *,
        accepted: bool,
        at_call: int,
        parents: Sequence[int] = (),
    ) -> int:
        """Returns the candidate's number; 0 if it could not be written."""
        told = Candidate(
            list(parents), at_call, score, rows=rows, accepted=accepted, changes=changes(self._given, state)
        )
        encoded = line(told)
        known = read(Candidate, orjson.loads(encoded))  # as it comes back: large ones are cut
        assert known is not None, "a line is a candidate"
        with self._lock:
            return self._told_before(known) or self._append(encoded)

    def skip(self, calls: int) -> None:
        """The search goes on from this many metric calls: what came before will not be tried again."""
        with self._lock:
            for sort, waiting in self._earlier.items():
                self._earlier[sort] = deque(item for item in waiting if item.at_call > calls)

    def _remember(self, content: bytes) -> None:
        self.count += 1
        if (candidate := read(Candidate, orjson.loads(content))) is not None:
            self._earlier[_sort(candidate)].append(_Earlier(self.count, candidate.accepted, candidate.at_call))

    def _told_before(self, candidate: Candidate) -> int:
        """Of those that are equal but for their scores, one of the same fate is meant rather than another."""
        waiting = self._earlier[_sort(candidate)]
        same_fate = (item for item in waiting if item.accepted == candidate.accepted)
        found = next(same_fate, waiting[0] if waiting else None)
        if found is None:
            return 0
        waiting.remove(found)
        return found.number

    def _append(self, encoded: bytes) -> int:
        if not self._outbox.candidate(encoded):
            logger.warning("a candidate could not be written and is not told of")
            return 0
        self.count += 1
        return self.count


def changes(given: Mapping[str, Any], state: State) -> JsonObject:
    """What a program's state has otherwise than the given one's predictors, by predictor."""
    pairs = ((name, _parts(given.get(name)), _parts(its)) for name, its in predictors_of(state).items())
    return {name: _change(before, after) for name, before, after in pairs if before != after}


def _change(before: _Parts, after: _Parts) -> JsonObject:
    named = zip(("instructions", "demos"), before, after, strict=True)
    return {name: its if its != was else None for name, was, its in named}


def _parts(predictor: Any) -> _Parts:
    """Instructions and demos; none of a parameter that is no predictor."""
    if not isinstance(predictor, Mapping) or not isinstance(predictor.get("signature"), Mapping):
        return None, []
    return predictor["signature"].get("instructions"), predictor.get("demos") or []


def _sort(candidate: Candidate) -> _Sort:
    return hashlib.sha256(orjson.dumps(candidate.changes, option=orjson.OPT_SORT_KEYS)).digest(), candidate.rows
