"""The Warning header, in the form of RFC 7234, by which an answer speaks beside its body."""

from collections.abc import Sequence

_NAMED = 20
_LENGTH = 64


def warning(said: str, names: Sequence[str]) -> dict[str, str] | None:
    """None where there is nothing to name. Names may hold any character, so they are escaped to ASCII and cut."""
    if not names:
        return None
    named = ", ".join(_escaped(name)[:_LENGTH] for name in names[:_NAMED])
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return {"Warning": f'299 dspy-service "{said}: {named}{more}"'}


def _escaped(name: str) -> str:
    return ascii(name)[1:-1].replace("\\", "\\\\").replace('"', '\\"')
