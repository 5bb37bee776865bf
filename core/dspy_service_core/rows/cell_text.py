"""Reads the value that a text cell stands for: CSV has only text, and people write JSON and Python literals into it."""

import ast
import json
import math
import warnings
from typing import Any


def inside(text: str) -> Any:
    """The value that the text is as JSON or as a Python literal; the text itself if it is neither.

    Only the whole text counts: `see [1]` remains text.
    """
    stripped = text.strip()
    for read in (json.loads, _literal):
        try:
            found = read(stripped)
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
        if not (isinstance(found, float) and not math.isfinite(found)):
            return found
    return text


def _literal(text: str) -> Any:
    with warnings.catch_warnings():  # warnings, as about invalid escapes, make no sense for a cell
        warnings.simplefilter("ignore")
        return ast.literal_eval(text)
