"""Makes `messages.json`: what each predictor sends to a model, as messages with a placeholder for each input.

Who has this document can ask any model with the optimized prompt, without DSPy: once the placeholders are replaced, it
is what DSPy sends, byte for byte (docs/programs.md says how values are written). To get it, each predictor is called
with placeholders as its inputs and with a copy of the job's model that notes the messages instead of sending them. So
whatever has a say in a prompt has it here: the adapter, and what the model can do by itself.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import dspy
from dspy.adapters.utils import get_annotation_name

from dspy_service_runner.optimizer.adapters import ADAPTERS
from dspy_service_runner.optimizer.failures import first_line
from dspy_service_runner.optimizer.json_form import plain

Message = dict[str, Any]

_NAMES = {kind: name for name, kind in ADAPTERS.items()}
_TRIES = 100


class Placeholder(str):
    """Stands for any value, a tool that the model is told of by itself among them."""

    __slots__ = ()

    def format_as_litellm_function_call(self) -> dict[str, Any]:
        return {}


Marks = dict[str, Placeholder]


class _Noted(Exception):
    def __init__(self, messages: list[Message]) -> None:
        super().__init__("the messages are noted")
        self.messages = messages


def messages_of(program: dspy.Module) -> dict[str, Any]:
    """For the adapter and the model that are configured."""
    adapter = dspy.settings.adapter or dspy.ChatAdapter()
    noting = _noting(dspy.settings.lm)
    with dspy.context(lm=noting, adapter=adapter, trace=None, warn_on_type_mismatch=False, callbacks=[]):
        predictors = {name: _prompt(predictor) for name, predictor in program.named_predictors()}
    return {"adapter": _NAMES.get(type(adapter), type(adapter).__name__), "predictors": plain(predictors)}


def _noting(lm: Any) -> Any:
    def note(_self: Any, _prompt: Any = None, *, messages: Any = None, **_options: Any) -> Any:
        raise _Noted(messages)

    noting = copy.copy(lm)
    noting.__class__ = type("Noting", (type(lm),), {"__call__": note})
    return noting


def _prompt(predictor: Any) -> dict[str, Any]:
    fields = predictor.signature.input_fields
    history = next((name for name, field in fields.items() if field.annotation == dspy.History), None)
    names = [name for name in fields if name != history]
    try:
        messages, marks = _rendered(predictor, names, history)
        text = _texts(messages)
        shown = {
            name: {"placeholder": str(marks[name]), "type": get_annotation_name(fields[name].annotation)}
            for name in names
            if marks[name] in text
        }
        prompt = {"messages": messages, "inputs": shown, "sent_otherwise": [n for n in names if n not in shown]}
        return prompt | ({"history": _history(predictor, names, history, messages)} if history else {})
    except Exception as error:  # a predictor of the user's own may do anything
        return {"not_shown": first_line(error)}


def _rendered(predictor: Any, names: list[str], history: str | None) -> tuple[list[Message], Marks]:
    empty = {history: dspy.History(messages=[])} if history else {}
    for marks in _choices(names):
        messages = _sent(predictor, marks | empty)
        if _distinct(marks, messages):
            return messages, marks
    raise ValueError("the prompt holds every placeholder itself")


def _history(predictor: Any, names: list[str], history: str, around: list[Message]) -> dict[str, Any]:
    """The messages of one turn. They stand before the last message, which is the present request."""
    before = len(around) - 1
    for marks in _choices([*names, *predictor.signature.output_fields]):
        given = {name: marks[name] for name in names} | {history: dspy.History(messages=[marks])}
        turn = _sent(predictor, given)[before:-1]
        if _distinct(marks, turn):
            return {
                "input": history,
                "before": before,
                "turn": turn,
                "placeholders": {name: str(mark) for name, mark in marks.items()},
            }
    raise ValueError("the prompt holds every placeholder itself")


def _choices(names: Iterable[str]) -> Iterator[Marks]:
    """Several, because a prompt may hold such a text itself, in its instructions or demos."""
    known = list(names)
    yield {name: Placeholder(f"{{{{{name}}}}}") for name in known}
    for number in range(1, _TRIES):
        yield {name: Placeholder(f"{{{{{name}:{number}}}}}") for name in known}


def _distinct(marks: Marks, messages: list[Message]) -> bool:
    text = _texts(messages)
    return all(text.count(mark) <= 1 for mark in marks.values())


def _sent(predictor: Any, inputs: Mapping[str, Any]) -> list[Message]:
    try:
        type(predictor).forward(predictor, **inputs)
    except _Noted as noted:
        return [{"role": message["role"], "content": message["content"]} for message in noted.messages]
    raise ValueError("it asks no model")


def _texts(value: Any) -> str:
    """All texts in messages, those of content parts among them."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return "\n".join(_texts(each) for each in value.values())
    return "\n".join(_texts(each) for each in value) if isinstance(value, list | tuple) else ""
