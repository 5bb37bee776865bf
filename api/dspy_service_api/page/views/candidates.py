"""The programs that a search tried: who came of whom, and what the texts of one are beside its parents' and the given
program's. Made of the answers of `/candidates` and of the program's state as it was given.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dspy_service_api.page.views.figures import figure, mapping
from dspy_service_api.page.views.prompts import Predictor, State, predictors, states

_DEEPEST = 12
"""Steps of indentation: deeper ones look alike, and are told by their numbers."""
_MOST_PARENTS = 4
Told = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """One candidate of the lineage, below the one that it was made from."""

    n: int
    depth: int
    parents: tuple[int, ...]
    score: float | None
    rows: float | None
    at_call: float | None
    accepted: bool
    best: bool


@dataclass(frozen=True, slots=True)
class Beside:
    """A candidate's texts beside those of `n`, which is None for the program as given."""

    n: int | None
    predictors: tuple[Predictor, ...]


def lineage(found: Sequence[Told]) -> list[Line]:
    """Each after its first parent, in the order in which they came; a merge names its other one. Where an optimizer
    tells of no parents that is the order of their numbers."""
    below: dict[int, list[Told]] = {}
    known: set[int] = set()
    for candidate in found:
        first = next(iter(_parents(candidate, known)), 0)
        below.setdefault(first, []).append(candidate)
        known.add(candidate["n"])
    best, waiting = best_of(found), [(0, each) for each in reversed(below.get(0, []))]
    lines = []
    while waiting:
        depth, candidate = waiting.pop()
        lines.append(_line(candidate, min(depth, _DEEPEST), known, best))
        waiting += [(depth + 1, each) for each in reversed(below.get(candidate["n"], []))]
    return lines


def parents_of(candidate: Told) -> tuple[int, ...]:
    """At most a few: nothing merges more than two."""
    return _parents(candidate, set(range(1, candidate["n"])))[:_MOST_PARENTS]


def most_rows(found: Iterable[Told]) -> float:
    """How many rows a program is scored on fully. Scores on fewer, of a batch, do not compare with those."""
    return max((figure(each, "rows") or 0.0 for each in found if figure(each, "score") is not None), default=0.0)


def best_of(found: Sequence[Told]) -> int | None:
    most = most_rows(found)
    scored = [each for each in found if figure(each, "score") is not None and figure(each, "rows") == most]
    return max(scored, key=lambda each: each["score"])["n"] if most and scored else None


def beside(candidate: Told, given: Any, parents: Sequence[Told]) -> list[Beside]:
    """Beside each parent, and beside the program as given. `given` is its state, empty where that is not known: what a
    candidate left as it was has no text then."""
    own, first = _state(given, candidate), dict(states(mapping(given)))
    texts = [Beside(parent["n"], _changed(_state(given, parent), own)) for parent in parents]
    return [*texts, Beside(None, _changed(first, own))]


def _changed(before: State, after: State) -> tuple[Predictor, ...]:
    names = [name for name in after if after[name] != before.get(name)]
    return tuple(predictors(before, {name: after[name] for name in names}))


def _state(given: Any, candidate: Told) -> dict[str, State]:
    """The given program's predictors, with the candidate's changes."""
    state = dict(states(mapping(given)))
    for name, change in mapping(candidate.get("changes")).items():
        before, new = mapping(state.get(name)), mapping(change)
        instructions, demos = new.get("instructions"), new.get("demos")
        if instructions is None:
            instructions = mapping(before.get("signature")).get("instructions")
        state[name] = {
            "signature": {**mapping(before.get("signature")), "instructions": instructions},
            "demos": before.get("demos") if demos is None else demos,
        }
    return state


def _line(candidate: Told, depth: int, known: set[int], best: int | None) -> Line:
    return Line(
        n=candidate["n"],
        depth=depth,
        parents=_parents(candidate, known),
        score=figure(candidate, "score"),
        rows=figure(candidate, "rows"),
        at_call=figure(candidate, "at_call"),
        accepted=candidate.get("accepted") is True,
        best=candidate["n"] == best,
    )


def _parents(candidate: Told, known: set[int]) -> tuple[int, ...]:
    """Only earlier ones: a job's own code may have written anything, a circle too."""
    given = candidate.get("parents")
    found = given if isinstance(given, list) else []
    return tuple(dict.fromkeys(each for each in found if type(each) is int and each in known and each < candidate["n"]))
