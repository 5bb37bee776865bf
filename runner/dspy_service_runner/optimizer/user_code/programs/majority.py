"""How an ensemble's answers become one. Its pickle holds this module by value, so it imports dspy alone; the client's
`rebuild.py` says the same."""

import functools
from collections.abc import Callable
from typing import Any

import dspy
from dspy.predict.aggregation import default_normalize


def majority(field: str | None) -> Callable[[Any], Any]:
    """`field`: the one that is counted; None for the last one of the answers."""
    return functools.partial(dspy.majority, normalize=counted_as, field=field)


def counted_as(value: Any) -> str | None:
    """Text as dspy counts it, whatever its case, signs and articles. Where nothing is left so, as of "A" among the
    answers A to D, dspy would not count it, and it fails on what is no text: these are counted as they are. An empty
    answer is None, which is not counted where there is any other."""
    if value is None:
        return None
    if not isinstance(value, str):
        return repr(value)
    return str(default_normalize(value) or value.strip().casefold()) or None
