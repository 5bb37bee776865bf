"""What arguments mean, in dspy's own words: the `Args:` sections of its docstrings.

By hand, since a parser of docstrings (docstring-parser, griffe) would be installed wherever jobs run, for a file that
is written once for each dspy.
"""

import re
from inspect import cleandoc
from textwrap import dedent

_SECTION = re.compile(
    r"^(?P<indent> *)(?:Args|Arguments|Parameters):\n(?P<entries>(?: *\n|(?P=indent)(?: +|- ).*\n)+)", re.M
)
_ENTRY = re.compile(r"^(?:- )?\*{0,2}(?P<name>\w+)(?: ?\([^)]*\))?: *(?P<said>.*(?:\n +\S.*)*)", re.M)
"""Its first paragraph: what goes further is advice on how to write Python."""
_DEFAULT = re.compile(r"""\s*\bDefaults? (?:to|is) [\w.,"'-]+\.(?=\s|$)""")
"""The catalogue tells the default itself, and another one where an optimizer has the argument of another one."""


def meanings(*documents: str | None) -> dict[str, str]:
    """By the argument's name; what an earlier document says of it counts."""
    found: dict[str, str] = {}
    for document in documents:
        section = _SECTION.search(f"{cleandoc(document or '')}\n")
        for entry in _ENTRY.finditer(dedent(section["entries"]) if section else ""):
            if said := _DEFAULT.sub("", " ".join(entry["said"].split())).strip():
                found.setdefault(entry["name"], said)
    return found
