"""Changes a program so that its JSON state can hold all of it.

Values in demos that JSON does not have (sets, dates, pydantic models, keys that are not text) are replaced in the
program itself, before its final score. So the program, its pickle and its state are the same and make the same prompts.
"""

import json
from collections.abc import Mapping
from typing import Any

import dspy

from dspy_service_core.checks.state_fit import loadable, misfits
from dspy_service_runner.optimizer.failures import JobFailed, first_line
from dspy_service_runner.optimizer.json_form import is_finite, plain

State = dict[str, Any]

_TRIALS = (
    "candidate_programs",
    "mb_candidate_programs",
    "trial_logs",
    "detailed_results",
    "results_best",
    "results_latest",
)
"""Attributes that optimizers add to the program that they return. They hold other programs, and can be hundreds of
times its size."""
_LEVELS = 80
"""Levels of nesting that a demo's value may have: fewer than JSON readers accept, as the state around it has some."""


def mend(program: dspy.Module) -> dict[str, list[str]]:
    """Replaces the values of demos by their JSON form, and drops demos that JSON cannot hold. Returns why demos were
    dropped, by predictor."""
    dropped: dict[str, list[str]] = {}
    for name, predictor in program.named_predictors():
        kept = []
        for demo in predictor.demos:
            try:
                kept.append(plain_demo(demo, predictor.signature.fields))
            except (ValueError, RecursionError) as error:
                dropped.setdefault(name, []).append(str(error))
        predictor.demos = kept
    return dropped


def drop_trials(program: dspy.Module) -> None:
    for name in _TRIALS:
        program.__dict__.pop(name, None)


def strip_models(program: dspy.Module) -> None:
    """Removes the models from a program that is kept, because they hold the API key and the endpoint."""
    for _, predictor in program.named_predictors():
        predictor.lm = None


def state_of(program: dspy.Module) -> State:
    """The program's state as JSON; the program itself is not changed."""
    copy = program.deepcopy()
    strip_models(copy)
    mend(copy)
    return dump(copy)


def load(program: dspy.Module, state: State) -> None:
    """Loads a state that holds no models: predictors to which the program itself gave a model keep it."""
    given = {name: predictor.lm for name, predictor in program.named_predictors()}
    program.load_state(state)
    for name, predictor in program.named_predictors():
        predictor.lm = given[name]


def dump(program: dspy.Module) -> State:
    """The state of a program that `mend` has changed already."""
    state: State = plain(program.dump_state())
    return state


def plain_demo(demo: Any, fields: Mapping[str, Any]) -> dspy.Example:
    """The same demo with values in their JSON form, which look the same in a prompt. `fields` are the signature's.
    Raises `ValueError` and `RecursionError` for what JSON cannot hold."""
    shown = {}
    for name, value in demo.items():
        if not is_finite(value):
            raise ValueError(f"'{name}' holds NaN or infinity, which JSON does not have")
        field = fields.get(name)
        shown[name] = _as_shown(plain(value, _LEVELS), value, field.annotation if field is not None else None)
    return dspy.Example(shown)


def _as_shown(written: Any, value: Any, annotation: Any) -> Any:
    """In a text field, DSPy numbers the items of a list, but not those of a set or a tuple. These became lists in
    `written`, so they become JSON text to look as before."""
    numbered = annotation is str and isinstance(written, list) and not isinstance(value, list)
    return json.dumps(written, ensure_ascii=False) if numbered else written


def begin_with(program: dspy.Module, given: Mapping[str, Any]) -> None:
    """Loads a state that the job brought. dspy itself would load the state of another program in part, and say nothing.

    The program is not compiled by this, so that every optimizer takes it."""
    if wrong := misfits(given, program.dump_state()):
        raise JobFailed("InvalidInitialState", f"The state to begin with does not fit the program: {' '.join(wrong)}")
    try:
        load(program, loadable(given))
    except Exception as error:
        said = first_line(error)
        raise JobFailed("InvalidInitialState", f"The state to begin with cannot be loaded: {said}") from error
    for predictor in program.predictors():
        predictor.demos = [dspy.Example(demo) for demo in predictor.demos]
