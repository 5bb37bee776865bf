"""Program states as DSPy writes them: what two of them differ in, and loading one into a program that it fits."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from dspy_service.errors import UnfitState
from dspy_service.files.state_fit import loadable, misfits

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
    """The program with the state in it: the object itself, or a new one of the class. No code but the caller's runs.

    Predictors to which the program has given a model keep it."""
    loaded: Any = program() if isinstance(program, type) else program
    refuse_unfit(loaded, state)
    models = {name: predictor.lm for name, predictor in loaded.named_predictors()}
    loaded.load_state(loadable(state))
    for name, predictor in loaded.named_predictors():
        predictor.lm = models[name]
    return loaded  # type: ignore[no-any-return]


def refuse_unfit(program: Any, state: State) -> None:
    if found := misfits(state, program.dump_state()):
        raise UnfitState(f"The state does not fit this {type(program).__name__}. {' '.join(found)}")


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
