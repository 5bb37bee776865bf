"""Lines of the journal of model calls that tell what the calls took, and the sums of them.

A call's line `begin` is written before it is sent, its line `end` when it was answered or failed, and `hit` where the
journal answers in a model's place. So whoever reads the journal after a kill counts every answered call, and knows of
those that nobody saw the end of. The optimizer writes the lines and goes on from those of earlier attempts; the
reporter sums them up when an attempt ends without a result. Without pydantic and dspy.
"""

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import orjson

from dspy_service_core.records.record import JsonObject, document, read
from dspy_service_core.records.spending import Spending
from dspy_service_core.records.usage import Usage, told

_BEGINS = (b'{"begin":', b'{"end":', b'{"hit":')
_HIT = Usage(cached_calls=1)
_UNSEEN = Usage(calls_unknown=1)
_MOST_KEYS, _MOST_OPEN, _LONGEST_NAME = 500, 10_000, 256
"""Bounds of memory, since user code can write lines too."""


class CallKey(NamedTuple):
    """By what calls are told apart."""

    model: str
    stage: str
    predictor: str
    """Empty for a call that none of the program's predictors made."""


_OTHERS = CallKey("others", "", "")
Dimension = Literal["model", "stage", "predictor"]


def begun(number: str, key: CallKey) -> bytes:
    return orjson.dumps({"begin": number, "of": [*key]}) + b"\n"


def ended(number: str, usage: Usage | None) -> bytes:
    """`usage` is None for a call that was not answered."""
    found = {} if usage is None else {"usage": document(usage)}
    return orjson.dumps({"end": number, **found}) + b"\n"


def hit(key: CallKey) -> bytes:
    return orjson.dumps({"hit": [*key]}) + b"\n"


class Tally:
    """Sums of calls. Not for several threads at once."""

    def __init__(self) -> None:
        self._sums: dict[CallKey, Usage] = {}
        self._open: dict[str, CallKey] = {}
        self.spending = Spending()

    def begin(self, number: str, key: CallKey) -> None:
        if len(self._open) < _MOST_OPEN:
            self._open[number] = key

    def end(self, number: str, usage: Usage | None) -> None:
        key = self._open.pop(number, None)
        if key is not None and usage is not None:
            self._add(key, usage)
            self.spending.add(usage)

    def hit(self, key: CallKey) -> None:
        self._add(key, _HIT)

    def lose(self, number: str) -> None:
        """Notes a call whose end nobody will see."""
        key = self._open.pop(number, None)
        if key is not None:
            self._add(key, _UNSEEN)
            self.spending.add_unseen()

    def lose_all(self) -> None:
        for number in list(self._open):
            self.lose(number)

    def read(self, line: bytes) -> None:
        """Takes a line in; others than those that are written here are passed over."""
        if not line.startswith(_BEGINS):
            self.spending.read(line)
            return
        try:
            entry = orjson.loads(line)
        except orjson.JSONDecodeError:
            return
        if (number := entry.get("begin")) and (key := _key(entry.get("of"))):
            self.begin(str(number)[:_LONGEST_NAME], key)
        elif number := entry.get("end"):
            self.end(str(number)[:_LONGEST_NAME], read(Usage, entry.get("usage")))
        elif key := _key(entry.get("hit")):
            self.hit(key)

    def total(self) -> Usage:
        return _sum(self._sums.values())

    def by(self, dimension: Dimension) -> dict[str, Usage]:
        """Sums by the values of one part of the key, but for the empty one."""
        found: dict[str, Usage] = {}
        for key, usage in self._sums.items():
            if name := getattr(key, dimension):
                found[name] = found.get(name, Usage()) + usage
        return found

    def _add(self, key: CallKey, usage: Usage) -> None:
        if key not in self._sums and len(self._sums) >= _MOST_KEYS:
            key = _OTHERS
        known = self._sums.get(key)
        self._sums[key] = usage if known is None else known + usage


def breakdown(tally: Tally) -> JsonObject:
    """As the HTTP contract has it in a result's details."""
    total = tally.total()
    return {
        "total": told(total),
        "by_model": _told_by(tally, "model"),
        "by_stage": _told_by(tally, "stage"),
        "by_predictor": _told_by(tally, "predictor"),
        "calls_unknown": total.calls_unknown,
    }


def _told_by(tally: Tally, dimension: Dimension) -> JsonObject:
    return {name: told(usage) for name, usage in tally.by(dimension).items()}


def _sum(usages: Iterable[Usage]) -> Usage:
    total = Usage()
    for usage in usages:
        total += usage
    return total


def _key(found: Any) -> CallKey | None:
    if not isinstance(found, list) or len(found) != len(CallKey._fields):
        return None
    return CallKey(*(name[:_LONGEST_NAME] for name in found)) if all(isinstance(x, str) for x in found) else None
