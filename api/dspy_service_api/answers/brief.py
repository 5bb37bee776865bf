"""Names that others chose, in one line: there may be any number of them, of any length."""

from collections.abc import Callable, Sequence

_NAMED = 20
_LENGTH = 64


def brief(names: Sequence[str], shown: Callable[[str], str] = str) -> str:
    named = ", ".join(shown(name)[:_LENGTH] for name in names[:_NAMED])
    return f"{named} and {len(names) - _NAMED} more" if len(names) > _NAMED else named
