"""Test rows of a job. Made of the answers of `/rows`."""

import csv
import io
from collections.abc import Iterable, Mapping
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
