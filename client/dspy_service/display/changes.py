"""What an optimizer changed in the prompts, as lines: each predictor's demonstrations, its instructions as a diff."""

import difflib
from collections.abc import Iterable, Iterator

from dspy_service.display.shown import shown
from dspy_service.program_states import Change


def lines(changed: Iterable[Change]) -> Iterator[str]:
    for change in changed:
        yield f"{shown(change.predictor)}: {_demos(change)}"
        yield from _diff(*change.instructions)


def _demos(change: Change) -> str:
    before, after = change.demos
    return f"{after} demonstrations" if before == after else f"{before} -> {after} demonstrations"


def _diff(before: str, after: str) -> Iterator[str]:
    if before == after:
        return
    for line in difflib.ndiff(before.splitlines(), after.splitlines()):
        if not line.startswith("? "):
            yield shown(line)
