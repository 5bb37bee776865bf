"""Which parts of `self` a CEL rule reads, so that only those are handed to it.

Handing a value to the CEL library copies it, which for a dataset's rows costs more than all else that a create does.
When in doubt a part counts as read: the worst that this analysis does is too little.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

Part = Literal["whole", "size", "exists"]
Reads = Mapping[str, Any] | Part
"""A map of field names to what is read below them, or the value itself, or its size, or only whether it is there."""

_KEYWORDS = frozenset(
    {
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    }
)
_SPECIAL = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}
_ESCAPED = re.compile(r"__|\.|-|/")
_STRING = re.compile(
    r'''[rR]?("""(?:\\.|[^\\])*?"""|\'\'\'(?:\\.|[^\\])*?\'\'\'|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')''', re.S
)
_CHAIN = r"(?<![\w.]){variable}\b((?:\.[A-Za-z_]\w*)*)(\s*\()?"
_HAS = r"\bhas\(\s*{variable}((?:\.[A-Za-z_]\w*)+)\s*\)"


def reads(source: str, variable: str) -> Reads:
    text = _STRING.sub('""', source)
    found: dict[str, Any] = {}
    for match in re.finditer(_HAS.format(variable=variable), text):
        _note(found, match[1].split(".")[1:], "exists")
    for match in re.finditer(_CHAIN.format(variable=variable), re.sub(_HAS.format(variable=variable), "", text)):
        names = match[1].split(".")[1:]
        method = names.pop() if match[2] and names else ""
        if not names:
            return "whole"
        _note(found, names, "size" if method == "size" else "whole")
    return found


def _note(found: dict[str, Any], names: list[str], what: Part) -> None:
    place = found
    for name in names[:-1]:
        below = place.setdefault(name, {})
        if below in ("whole", "size"):
            place[name] = "whole"
            return
        if below == "exists":
            below = place[name] = {}
        place = below
    last = names[-1]
    place[last] = _both(place[last], what) if last in place else what


def _both(one: Reads, other: Part) -> Reads:
    if other == "exists":
        return one
    return other if one in ("exists", other) else "whole"


def together(several: Sequence[Reads]) -> Reads:
    """What is read by at least one of them."""
    parts = [one for one in several if one != "exists"]
    maps = [one for one in parts if not isinstance(one, str)]
    if not parts:
        return "exists" if several else {}
    if not maps:
        return parts[0] if len(set(map(str, parts))) == 1 else "whole"
    if len(maps) < len(parts):
        return "whole"
    names = {name for one in maps for name in one}
    return {name: together([one[name] for one in maps if name in one]) for name in names}


def projected(read: Reads, value: Any) -> Any:
    """The value with no more than what is read."""
    if read == "whole":
        return value
    if read == "exists":
        return None if value is None else True
    if read == "size":
        return _hollow(value)
    if not isinstance(value, dict):
        return value
    return {key: projected(below, item) for key, item in value.items() if (below := read.get(escaped(key))) is not None}


def _hollow(value: Any) -> Any:
    """As many of no matter what."""
    if isinstance(value, list):
        return [True] * len(value)
    return dict.fromkeys(value, True) if isinstance(value, dict) else value


def escaped(name: str) -> str:
    return f"__{name}__" if name in _KEYWORDS else _ESCAPED.sub(lambda match: _SPECIAL[match[0]], name)
