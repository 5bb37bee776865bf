"""A program as its JSON state can hold it.

What an optimizer leaves in a program (demos with sets, dates, models, keys that are no text) is replaced in the program
itself, before its final score: program, pickle and state are then one, and prompt alike.
"""

import json
from typing import Any

import dspy

from dspy_service_runner.optimizer.json_form import is_finite, plain

State = dict[str, Any]

_LEVELS = 80
"""Of nesting in a demo's value: the state that it lies in must not be cut."""


def mend(program: dspy.Module) -> dict[str, list[str]]:
    """Why demos were dropped, by predictor: what JSON cannot hold, no state could show again."""
    dropped: dict[str, list[str]] = {}
    for name, predictor in program.named_predictors():
        kept = []
        for demo in predictor.demos:
            try:
                kept.append(_plain_demo(demo, predictor.signature))
            except (ValueError, RecursionError) as error:
                dropped.setdefault(name, []).append(str(error))
        predictor.demos = kept
    return dropped


def strip_models(program: dspy.Module) -> None:
    """No model in what is kept: it would hold the key and the endpoint."""
    for _, predictor in program.named_predictors():
        predictor.lm = None


def state_of(program: dspy.Module) -> State:
    """Its state as JSON; the program stays as it is."""
    copy = program.deepcopy()
    strip_models(copy)
    mend(copy)
    return dump(copy)


def dump(program: dspy.Module) -> State:
    """Of a mended program."""
    state: State = plain(program.dump_state())
    return state


def _plain_demo(demo: Any, signature: type[dspy.Signature]) -> dspy.Example:
    shown = {}
    for name, value in demo.items():
        if not is_finite(value):
            raise ValueError(f"'{name}' holds NaN or infinity, which JSON does not have")
        field = signature.fields.get(name)
        shown[name] = _as_shown(plain(value, _LEVELS), value, field.annotation if field is not None else None)
    return dspy.Example(shown)


def _as_shown(written: Any, value: Any, annotation: Any) -> Any:
    """DSPy numbers the items of a list in a text field, but of nothing else that becomes one."""
    numbered = annotation is str and isinstance(written, list) and not isinstance(value, list)
    return json.dumps(written, ensure_ascii=False) if numbered else written
