"""Program states as DSPy writes them: what two of them differ in, and whether one fits a program.

DSPy loads a state that fits in part without a word, so it is compared first: predictors by name, fields by prefix.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from dspy_service.errors import UnfitState

T = TypeVar("T")
State = Mapping[str, Any]
_METADATA = "metadata"


@dataclass(frozen=True, slots=True)
class Change:
    """Of one predictor, from the program as given to the optimized one."""

    predictor: str
    instructions: tuple[str, str]
    demos: tuple[int, int]


def changes(before: State | None, after: State | None) -> tuple[Change, ...]:
    """Of the predictors that differ; empty where one of the states is not known."""
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return ()
    first = dict(_predictors(before))
    pairs = [(name, first[name], last) for name, last in _predictors(after) if name in first]
    return tuple(_change(name, first, last) for name, first, last in pairs if first != last)


def load_state(program: T | type[T], state: State) -> T:
    """The program with the state in it: the object itself, or a new one of the class. No code but the caller's runs."""
    loaded: Any = program() if isinstance(program, type) else program
    refuse_unfit(loaded, state)
    loaded.load_state({name: value for name, value in state.items() if name != _METADATA})
    return loaded  # type: ignore[no-any-return]


def refuse_unfit(program: Any, state: State) -> None:
    own, told = dict(program.named_predictors()), dict(_predictors(state))
    kind = type(program).__name__
    if own.keys() != told.keys():
        raise UnfitState(
            f"The state is of a program with the predictors {sorted(told)}, and this {kind} has {sorted(own)}."
        )
    for name, predictor in own.items():
        here = [field.json_schema_extra["prefix"] for field in predictor.signature.fields.values()]
        there = [str(field.get("prefix")) for field in told[name]["signature"].get("fields", [])]
        if len(here) != len(there):
            raise UnfitState(
                f"The state's predictor {name!r} has the fields {there}, and that of this {kind} has {here}."
            )


def _predictors(state: State) -> Iterator[tuple[str, Any]]:
    """That of a lone `dspy.Predict` is the state itself."""
    if isinstance(signature := state.get("signature"), Mapping) and "instructions" in signature:
        yield "self", state
        return
    for name, value in state.items():
        if name != _METADATA and isinstance(value, Mapping) and isinstance(value.get("signature"), Mapping):
            yield name, value


def _change(name: str, before: State, after: State) -> Change:
    return Change(name, (_instructions(before), _instructions(after)), (_demos(before), _demos(after)))


def _instructions(predictor: State) -> str:
    signature = predictor.get("signature")
    return str(signature.get("instructions") or "") if isinstance(signature, Mapping) else ""


def _demos(predictor: State) -> int:
    demos = predictor.get("demos")
    return len(demos) if isinstance(demos, list) else 0
