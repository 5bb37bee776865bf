"""Test rows of a job, and those in which two jobs differ. Made of the answers of `/rows`."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dspy_service_api.page.views.commands import compact

WHICH = {
    "all": "all rows",
    "changed": "won or lost",
    "won": "won",
    "lost": "lost",
    "tied": "tied",
    "failed": "failed",
}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Flip:
    """A row that one job's program does better than the other's."""

    n: int
    inputs: Mapping[str, Any]
    gold: Mapping[str, Any]
    first: Mapping[str, Any]
    second: Mapping[str, Any]
    better: int


def final(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the job's program made of it: the optimized one, where there is one."""
    answer: Mapping[str, Any] = row["optimized"] or row["baseline"]
    return answer


@dataclass(frozen=True, slots=True)
class Paired:
    """The rows that two jobs have in common."""

    count: int
    flips: tuple[Flip, ...]

    @property
    def better(self) -> tuple[int, int]:
        """How often the first does better, and how often the second."""
        firsts = sum(flip.better == 1 for flip in self.flips)
        return firsts, len(self.flips) - firsts


def paired(first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]]) -> Paired:
    """Only rows that both have, with the same inputs and gold."""
    others = {row["n"]: row for row in second}
    count, found = 0, []
    for row in first:
        other = others.get(row["n"])
        if other is None or (row["inputs"], row["gold"]) != (other["inputs"], other["gold"]):
            continue
        count += 1
        one, two = final(row), final(other)
        a, b = one["score"] or 0.0, two["score"] or 0.0
        if a != b:
            found.append(Flip(row["n"], row["inputs"], row["gold"], one, two, 1 if a > b else 2))
    return Paired(count, tuple(found))


def as_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """One line a row, nested values as JSON. What a spreadsheet would take for a formula gets an apostrophe."""
    rows = list(rows)
    inputs, gold = _names(rows, "inputs"), _names(rows, "gold")
    out = io.StringIO()
    writer = csv.writer(out)
    programs = ("baseline", "optimized")
    writer.writerow(
        ["n", "outcome", *(f"input.{each}" for each in inputs), *(f"gold.{each}" for each in gold)]
        + [f"{program}.{part}" for program in programs for part in ("prediction", "score", "error")]
    )
    for row in rows:
        cells = [row["n"], row["outcome"], *(row["inputs"].get(each) for each in inputs)]
        cells += [row["gold"].get(each) for each in gold]
        for program in programs:
            answer = row[program] or {}
            cells += [answer.get(part) for part in ("prediction", "score", "error")]
        writer.writerow([_cell(cell) for cell in cells])
    return out.getvalue()


def _names(rows: Iterable[Mapping[str, Any]], part: str) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row[part]))


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    said = value if isinstance(value, str) else compact(value)
    return f"'{said}" if said.startswith(_FORMULA) else said
