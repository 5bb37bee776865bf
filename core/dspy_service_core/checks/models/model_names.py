"""Models inside kwargs, at any depth. JSON cannot hold a Python object, so a name stands for one of the job's models.

`{"teacher_settings": {"lm": "prompt"}}` makes the job's prompt model the teacher. A text that is no such name must be
refused here: it would fail on every row, and nobody would notice, because DSPy's optimizers catch the errors.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic import JsonValue

MODEL_ARGUMENTS = frozenset({"lm", "sub_lm", "prompt_model", "task_model", "reflection_lm", "teacher_lm"})
"""All arguments for which DSPy takes a model have one of these names."""
EMBEDDER_ARGUMENTS = frozenset({"vectorizer"})
"""And all for which it takes an embedder."""
_CONTEXT = "teacher_settings"
"""An argument that DSPy passes on to `dspy.context`. Of the settings in it a job can give only models."""


def problems(
    given: Mapping[str, JsonValue], field: str, models: Collection[str], embedders: Collection[str] = ()
) -> Iterator[str]:
    """`field` is the sender's name for the kwargs, `models` and `embedders` are the names of models that may be used in
    them."""
    for path, value in _places(given, field, EMBEDDER_ARGUMENTS):
        if not isinstance(value, str) or value not in embedders:
            yield f"{path} takes an embedder, and is {_shown(value)}: {_allowed_embedders(embedders)}."
    for path, value in _places(given, field, MODEL_ARGUMENTS):
        if not isinstance(value, str) or value not in models:
            yield f"{path} takes a model, and is {_shown(value)}: {_allowed(models)}."
    context = given.get(_CONTEXT)
    for name in context if isinstance(context, Mapping) else ():
        if name not in MODEL_ARGUMENTS:
            yield f"{field}.{_CONTEXT}.{name} takes a Python object, which a job cannot hold: only lm can be given."


def _shown(value: object) -> str:
    return f"'{value[:80]}'" if isinstance(value, str) else "no name"


def _allowed_embedders(embedders: Collection[str]) -> str:
    known = f" ({', '.join(embedders)})" if embedders else ""
    return f"name one of the job's further models{known} whose model_type is embedding"


def _allowed(models: Collection[str]) -> str:
    if not models:
        return "a Python object, which a job cannot hold; leave it out"
    return f"name one of the job's models ({', '.join(models)}), to which others can be added"


def resolved(value: Any, models: Mapping[str, Any], embedders: Mapping[str, Any]) -> Any:
    """The same kwargs with each name replaced by its model."""
    if isinstance(value, Mapping):
        return {name: _resolved(name, item, models, embedders) for name, item in value.items()}
    return [resolved(item, models, embedders) for item in value] if isinstance(value, list) else value


def _resolved(name: str, item: Any, models: Mapping[str, Any], embedders: Mapping[str, Any]) -> Any:
    named = models if name in MODEL_ARGUMENTS else embedders if name in EMBEDDER_ARGUMENTS else None
    if named is None or not isinstance(item, str):
        return resolved(item, models, embedders)
    return named.get(item, item)


def _places(value: object, path: str, arguments: Collection[str]) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            if name in arguments:
                yield f"{path}.{name}", item
            else:
                yield from _places(item, f"{path}.{name}", arguments)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _places(item, f"{path}[{index}]", arguments)
