"""What a cell of text says: CSV has nothing but text, and people write JSON and Python's own literals into it."""

import ast
import json
import math
import warnings
from typing import Any


def inside(text: str) -> Any:
    """The value that the text writes as JSON or as a Python literal; the text itself where it is neither.

    Only the whole of a text counts: `see [1]` says nothing but that.
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
    with warnings.catch_warnings():  # of invalid escapes and such: a cell is no source
        warnings.simplefilter("ignore")
        return ast.literal_eval(text)
