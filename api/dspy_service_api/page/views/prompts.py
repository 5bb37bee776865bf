"""A program's predictors before and after: instructions word by word, demonstrations one by one. Made of two program
states as DSPy writes them, or of a baseline and a candidate's changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dspy_service_api.page.views.differences import Piece, changed, pieces
from dspy_service_api.page.views.figures import mapping

State = Mapping[str, Any]
_OWN_KEYS = frozenset({"augmented"})


@dataclass(frozen=True, slots=True)
class Predictor:
    name: str
    instructions: tuple[Piece, ...]
    instructions_changed: bool
    demos: tuple[Mapping[str, Any], ...]
    demos_before: int

    @property
    def changed(self) -> bool:
        return self.instructions_changed or len(self.demos) != self.demos_before or bool(self.demos)


def predictors(before: Any, after: Any) -> list[Predictor]:
    """Of the program `after`, each beside its own state before; empty where a state is not known."""
    first = dict(states(mapping(before)))
    return [_predictor(name, first.get(name, {}), state) for name, state in states(mapping(after))]


def _predictor(name: str, before: State, after: State) -> Predictor:
    differences = tuple(pieces(_instructions(before), _instructions(after)))
    demos = tuple(_demo(demo) for demo in _demos(after))
    return Predictor(name, differences, changed(differences), demos, len(_demos(before)))


def states(state: State) -> list[tuple[str, State]]:
    """Of each predictor. That of a lone `dspy.Predict` is the state itself."""
    if "instructions" in mapping(state.get("signature")):
        return [("self", state)]
    return [(name, value) for name, value in state.items() if name != "metadata" and _is_predictor(value)]


def _is_predictor(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("signature"), Mapping)


def _instructions(state: State) -> str:
    return str(mapping(state.get("signature")).get("instructions") or "")


def _demos(state: State) -> Sequence[Any]:
    demos = state.get("demos")
    return demos if isinstance(demos, list) else []


def _demo(demo: Any) -> Mapping[str, Any]:
    return {name: value for name, value in mapping(demo).items() if name not in _OWN_KEYS}
