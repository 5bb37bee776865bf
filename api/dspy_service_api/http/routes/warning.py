"""The Warning header, in the form of RFC 7234, by which an answer speaks beside its body."""

from collections.abc import Sequence

from dspy_service_api.answers.brief import brief


def warning(said: str, names: Sequence[str]) -> dict[str, str] | None:
    """None where there is nothing to name. Names may hold any character, so they are escaped to ASCII and cut."""
    if not names:
        return None
    return {"Warning": f'299 dspy-service "{said}: {brief(names, _escaped)}"'}


def _escaped(name: str) -> str:
    return ascii(name)[1:-1].replace("\\", "\\\\").replace('"', '\\"')
