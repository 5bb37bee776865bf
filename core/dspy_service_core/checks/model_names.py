"""Models inside kwargs, at any depth. JSON cannot hold a Python object, so a name stands for one of the job's models.

`{"teacher_settings": {"lm": "prompt"}}` makes the job's prompt model the teacher. A text that is no such name must be
refused here: it would fail on every row, and nobody would notice, because DSPy's optimizers catch the errors.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic import JsonValue

MODEL_ARGUMENTS = frozenset({"lm", "sub_lm", "prompt_model", "task_model", "reflection_lm", "teacher_lm"})
"""All arguments for which DSPy takes a model have one of these names."""
_CONTEXT = "teacher_settings"
"""An argument that DSPy passes on to `dspy.context`. Of the settings in it a job can give only models."""


def problems(given: Mapping[str, JsonValue], field: str, models: Collection[str]) -> Iterator[str]:
    """`field` is the sender's name for the kwargs, `models` are the names of models that may be used in them."""
    for path, value in _places(given, field):
        if not isinstance(value, str) or value not in models:
            shown = f"'{value[:80]}'" if isinstance(value, str) else "no name"
            yield f"{path} takes a model, and is {shown}: {_allowed(models)}."
    context = given.get(_CONTEXT)
    for name in context if isinstance(context, Mapping) else ():
        if name not in MODEL_ARGUMENTS:
            yield f"{field}.{_CONTEXT}.{name} takes a Python object, which a job cannot hold: only lm can be given."


def _allowed(models: Collection[str]) -> str:
    if not models:
        return "a Python object, which a job cannot hold; leave it out"
    return f"name one of the job's models ({', '.join(models)}), to which others can be added"


def resolved(value: Any, models: Mapping[str, Any]) -> Any:
    """The same kwargs with each name replaced by its model."""
    if isinstance(value, Mapping):
        return {
            name: models.get(item, item) if _names_model(name, item) else resolved(item, models)
            for name, item in value.items()
        }
    return [resolved(item, models) for item in value] if isinstance(value, list) else value


def _names_model(name: str, item: object) -> bool:
    return name in MODEL_ARGUMENTS and isinstance(item, str)


def _places(value: object, path: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            if name in MODEL_ARGUMENTS:
                yield f"{path}.{name}", item
            else:
                yield from _places(item, f"{path}.{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _places(item, f"{path}[{index}]")
