"""Converts values to JSON, in the form in which DSPy's adapters write them into prompts.

Every adapter shows a value through `serialize_for_json`. So a demo whose values are replaced by this form makes the
same prompt as before, and has the same values after it was saved and loaded. What `serialize_for_json` leaves open is
settled here: the order of sets, integers that readers of JSON take for floats, and text that is not Unicode.
"""

import json
import math
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from dspy.adapters.utils import serialize_for_json
from pydantic import BaseModel, RootModel

_SURROGATE = re.compile("[\ud800-\udfff]")
_INTEGERS = range(-(2**63), 2**64)
"""The integers that `dspy.Module.load` reads as such; larger ones become floats."""
_SETS = (set, frozenset)
_SEQUENCES = (list, tuple, deque)
_DEEPEST = 100
"""Levels of nesting that every reader of JSON accepts; what lies deeper becomes a string of JSON."""


def plain(value: Any, levels: int = _DEEPEST) -> Any:
    """Never fails: a value that cannot be serialized becomes text, NaN and infinity become null."""
    try:
        whole = valid_unicode(value)
        return _as_read(_with_sorted_sets(whole, _written(whole)), levels)
    except RecursionError:
        return f"<{type(value).__name__} without end>"


def text(value: Any) -> str:
    return json.dumps(plain(value), ensure_ascii=False, allow_nan=False)


def valid_text(text: str) -> str:
    """A lone surrogate (half a character) becomes U+FFFD; a pair of surrogates becomes the character that it means."""
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def valid_unicode(value: Any) -> Any:
    """Replaces surrogates in all text of a value. Nearly always there are none, and the value itself is returned."""
    if isinstance(value, str):
        return valid_text(value) if _SURROGATE.search(value) else value
    if isinstance(value, BaseModel):
        whole = valid_unicode(value.__dict__)
        return value if whole is value.__dict__ else value.model_copy(update=whole)
    if isinstance(value, Mapping):
        pairs = [(valid_unicode(key), valid_unicode(item)) for key, item in value.items()]
        same = all(key is k and item is i for (key, item), (k, i) in zip(pairs, value.items(), strict=True))
        return value if same else dict(pairs)
    if isinstance(value, _SEQUENCES + _SETS):
        items = [valid_unicode(item) for item in value]
        if all(item is before for item, before in zip(items, value, strict=True)):
            return value
        return set(items) if isinstance(value, _SETS) else items
    return value


def is_finite(value: Any) -> bool:
    """Whether all numbers in a value are finite; JSON has no others."""
    if isinstance(value, float):
        return math.isfinite(value)
    return all(map(is_finite, _parts(value)))


def _parts(value: Any) -> list[Any]:
    if isinstance(value, BaseModel):
        return list(value.__dict__.values())
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    if isinstance(value, _SEQUENCES + _SETS):
        return list(value)
    if is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, each.name, None) for each in fields(value)]
    return []


def _written(value: Any) -> Any:
    written = serialize_for_json(value)
    if not isinstance(written, str) or not isinstance(value, (Mapping, *_SEQUENCES, *_SETS)):
        return written
    if isinstance(value, Mapping):  # one part that cannot be serialized makes text of the whole
        return {_key(key): _written(item) for key, item in value.items()}
    return [_written(item) for item in value]


def _key(key: Any) -> str:
    written = serialize_for_json({key: None})
    return next(iter(written)) if isinstance(written, dict) else str(key)


def _with_sorted_sets(value: Any, written: Any) -> Any:
    """`written`, the JSON form of `value`, with sets sorted, because their own order depends on the process's hash
    seed."""
    if isinstance(value, RootModel):
        return _with_sorted_sets(value.root, written)
    if isinstance(written, list) and isinstance(value, _SEQUENCES + _SETS) and len(value) == len(written):
        items = [_with_sorted_sets(part, each) for part, each in zip(value, written, strict=True)]
        return sorted(items, key=_order) if isinstance(value, _SETS) else items
    if isinstance(written, dict) and isinstance(value, Mapping) and len(value) == len(written):
        return {key: _with_sorted_sets(part, written[key]) for key, part in zip(written, value.values(), strict=True)}
    if isinstance(written, dict) and (isinstance(value, BaseModel) or is_dataclass(value)):
        return {key: _with_sorted_sets(getattr(value, key, None), each) for key, each in written.items()}
    return written


def _order(item: Any) -> tuple[bool, float, str]:
    number = isinstance(item, int | float)
    return not number, float(item) if number else 0.0, json.dumps(item, sort_keys=True)


def _as_read(written: Any, levels: int) -> Any:
    """Replaces what would be read back as something else: too deep nesting, NaN, infinity and large integers."""
    if isinstance(written, dict | list) and not levels:
        return json.dumps(written, ensure_ascii=False)
    if isinstance(written, dict):
        return {key: _as_read(item, levels - 1) for key, item in written.items()}
    if isinstance(written, list):
        return [_as_read(item, levels - 1) for item in written]
    if isinstance(written, float):
        return written if math.isfinite(written) else None
    if isinstance(written, int):
        return written if written in _INTEGERS else str(written)
    return written
