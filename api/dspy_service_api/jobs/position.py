"""How far a reader of a job's stream has got, as the id of each of its events: `e12.l340.c7` after 12 events, 340
log entries and 7 candidates (none: no `c`). These numbers are those of the store, so every replica goes on from the
same place. `.end`: the reader has heard of the job's end as well.

A part that is not known here is passed over: the id may come from a newer replica.
"""

import re
from dataclasses import dataclass, replace
from typing import Literal, Self

from dspy_service_core.errors import FieldProblem, InvalidRequest

_ID = re.compile(r"[a-z]{1,16}[0-9]{0,15}(?:\.[a-z]{1,16}[0-9]{0,15}){0,9}")
_PART = re.compile(r"([a-z]+)([0-9]*)")
_END = "end"


@dataclass(frozen=True, slots=True)
class Position:
    events: int = 0
    logs: int = 0
    candidates: int = 0
    ended: bool = False

    @classmethod
    def read(cls, given: str, field: str) -> Self:
        """`field`: what of the request it was, for the refusal of what is no such id. Empty: the beginning."""
        if not given:
            return cls()
        if not _ID.fullmatch(given):
            problem = FieldProblem(
                field, "is not the id of an event of this stream, such as e12.l340", "invalid_position"
            )
            raise InvalidRequest([problem])
        parts = dict(_PART.findall(given))
        events, logs, candidates = (int(parts.get(letter) or 0) for letter in "elc")
        return cls(events, logs, candidates, _END in parts)

    def moved(self, kind: Literal["events", "logs", "candidates"], number: int) -> Self:
        match kind:
            case "events":
                return replace(self, events=number)
            case "logs":
                return replace(self, logs=number)
            case "candidates":
                return replace(self, candidates=number)

    def __str__(self) -> str:
        tried = f".c{self.candidates}" if self.candidates else ""
        return f"e{self.events}.l{self.logs}{tried}" + (f".{_END}" if self.ended else "")
