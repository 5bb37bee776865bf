"""Finds cells that cannot be converted to the type of their input field, as far as that is known before the pod runs.

The pod reads cells by DSPy's own rules (`optimizer/values/cells.py`). Whatever is refused here the pod would refuse
too, but only after the job has waited for its turn. In doubt a cell passes.
"""

import datetime
import re
from collections.abc import Callable, Mapping
from typing import Any

from dspy_service_core.code.field_types import FieldType
from dspy_service_core.rows.cell_text import inside

Problem = tuple[str, str, Any]
"""The place inside the cell, the reason, and the value at that place."""

_LONGEST = 200
"""Longer texts are not checked: they pass."""
_WHOLE = re.compile(r"[-+]?\d[\d_]*\.0*")
_DAY = re.compile(r"\s*(\d{4}-\d\d-\d\d)")
_TRUTHS = frozenset({"0", "off", "f", "false", "n", "no", "1", "on", "t", "true", "y", "yes"})
_BRACKETS = ("[", "(", "{")


def problem(cell: Any, its: FieldType) -> Problem | None:
    if cell is None:
        return None if its.nullable or None in its.choices else ("", "it is null", cell)
    if isinstance(cell, str):
        return _text_problem(cell, its)
    if not _FITS[its.kind](cell, its):
        return "", _REASONS[its.kind], cell
    return _item_problem(cell, its) if its.item else None


def _text_problem(cell: str, its: FieldType) -> Problem | None:
    if not cell.strip() and "" not in its.choices:
        return None if its.nullable and not cell else ("", "it is empty", cell)
    if len(cell) > _LONGEST or (its.kind in ("list", "dict") and cell.lstrip().startswith(_BRACKETS)):
        return None
    fits, found = _FITS[its.kind], inside(cell)
    if (found is None and its.nullable) or any(fits(form, its) for form in (cell, cell.strip(), found)):
        return None
    return "", _REASONS[its.kind], cell


def _item_problem(cell: Any, its: FieldType) -> Problem | None:
    assert its.item is not None
    places = cell.items() if isinstance(cell, dict) else enumerate(cell)
    for place, item in places:
        if found := problem(item, its.item):
            return (f"[{place}]" if isinstance(place, int) else f".{place}") + found[0], found[1], found[2]
    return None


def _whole(cell: Any, _its: FieldType) -> bool:
    if isinstance(cell, str):
        return bool(_WHOLE.fullmatch(cell)) or _reads(int, cell)
    return isinstance(cell, int) or (isinstance(cell, float) and cell.is_integer())


def _number(cell: Any, _its: FieldType) -> bool:
    return _reads(float, cell) if isinstance(cell, str) else isinstance(cell, int | float)


def _truth(cell: Any, _its: FieldType) -> bool:
    return cell.lower() in _TRUTHS if isinstance(cell, str) else isinstance(cell, int | float) and cell in (0, 1)


def _day(cell: Any, _its: FieldType) -> bool:
    found = _DAY.match(cell) if isinstance(cell, str) else None
    return found is not None and _reads(datetime.date.fromisoformat, found[1])


def _choice(cell: Any, its: FieldType) -> bool:
    return any(isinstance(cell, bool) == isinstance(choice, bool) and cell == choice for choice in its.choices)


def _list(cell: Any, _its: FieldType) -> bool:
    return isinstance(cell, list | tuple | set)


def _dict(cell: Any, _its: FieldType) -> bool:
    return isinstance(cell, dict)


def _reads(read: Callable[[str], Any], text: str) -> bool:
    try:
        read(text)
    except (ValueError, OverflowError):
        return False
    return True


_FITS: Mapping[str, Callable[[Any, FieldType], bool]] = {
    "int": _whole,
    "float": _number,
    "bool": _truth,
    "date": _day,
    "datetime": _day,
    "choice": _choice,
    "list": _list,
    "dict": _dict,
}
_REASONS: Mapping[str, str] = {
    "int": "it is no whole number",
    "float": "it is no number",
    "bool": "it is neither true nor false",
    "date": "write it like 2024-01-31",
    "datetime": "write it like 2024-01-31T12:30:00",
    "choice": "it is none of the choices",
    "list": "it is no list",
    "dict": "it is no object",
}
