"""Foreign text made fit for a terminal: what would steer it is shown instead of sent.

A job's own code chooses its log lines, messages and names. Sent as they are, an escape sequence could repaint the
reader's screen or fill in their clipboard, a line break could forge a line of another's, and a character that turns
the direction of writing could make a text read as another. So all of them appear by their escapes, such as \\x1b.
"""

import re
import unicodedata

GUTTER = "    | "
"""Begins every further line of a text of several: nothing that the service itself says begins so."""
_STEERING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Controls, invisible formats (directions, zero widths, tags), halves of characters, line and paragraph separators."""
_SUSPECTS = re.compile(r"[^ -~]")


def shown(value: object) -> str:
    """On one line."""
    return _SUSPECTS.sub(lambda found: _escaped(found[0]), str(value))


def shown_lines(value: object) -> str:
    """On as many lines as the text has, so that a stack trace can be read; all but the first behind a gutter."""
    return f"\n{GUTTER}".join(map(shown, str(value).rstrip("\n").split("\n")))


def _escaped(character: str) -> str:
    if unicodedata.category(character) not in _STEERING:
        return character
    return character.encode("unicode_escape").decode()
