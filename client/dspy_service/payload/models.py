"""The settings of a request's models from what people have: a name, settings, a `dspy.LM` or a `dspy.Embedder`.

Credentials travel in the settings, as the contract has it, and never in code. What such an object holds that settings
cannot say is refused by its name.
"""

from collections.abc import Mapping
from typing import Any

from dspy_service.errors import UnusableObject
from dspy_service.payload.json_values import json_value

Model = Any
"""A name as DSPy writes it, all of a model config, or a `dspy.LM`."""
_OWN = ("temperature", "max_tokens", "top_p")
_ENDPOINTS = ("base_url", "api_base")
_LEFT_BY_DEFAULT: Mapping[str, Any] = {"num_retries": 3, "cache": True, "use_developer_role": False}
_OBJECTS: Mapping[str, tuple[Any, ...]] = {
    "callbacks": ([], None),
    "finetuning_model": (None,),
    "launch_kwargs": ({}, None),
    "train_kwargs": ({}, None),
}


def model_config(given: Model, place: str = "lm") -> dict[str, Any]:
    if isinstance(given, str):
        return {"name": given}
    if isinstance(given, Mapping):
        return dict(given)
    if is_lm(given):
        return _of_lm(given, place)
    if is_embedder(given):
        return _of_embedder(given, place)
    raise UnusableObject(
        place, f"is a {type(given).__name__}: a model is its name, its settings as a dict, or a dspy.LM itself"
    )


def is_model(value: Any) -> bool:
    return is_lm(value) or is_embedder(value)


def is_lm(value: Any) -> bool:
    return _is_dspy(value, "LM")


def is_embedder(value: Any) -> bool:
    return _is_dspy(value, "Embedder") and isinstance(value.model, str)


def _is_dspy(value: Any, name: str) -> bool:
    """Of a class of its own it may do anything: only DSPy's own can be made again from its settings."""
    kind = type(value)
    return kind.__name__ == name and kind.__module__.partition(".")[0] == "dspy"


def _of_lm(lm: Any, place: str) -> dict[str, Any]:
    for name, empty in _OBJECTS.items():
        if getattr(lm, name, None) not in empty:
            raise UnusableObject(place, f"has {name}, which cannot be sent: make it without")
    config = _settings(lm.model, lm.kwargs, place)
    if lm.model_type != "chat":
        config["model_type"] = lm.model_type
    if lm.kwargs.get("temperature", 0) is None:
        config["temperature"] = None
    engine = getattr(lm, "_engine_spec", "auto")
    if not isinstance(engine, str):
        raise UnusableObject(place, "has an engine of its own, which cannot be sent: make it without")
    further = {name: getattr(lm, name, usual) for name, usual in _LEFT_BY_DEFAULT.items()} | {"engine": engine}
    usual = {**_LEFT_BY_DEFAULT, "engine": "auto"}
    extra = config.get("extra", {}) | {name: value for name, value in further.items() if value != usual[name]}
    return config | ({"extra": extra} if extra else {})


def _of_embedder(embedder: Any, place: str) -> dict[str, Any]:
    return _settings(embedder.model, embedder.default_kwargs, place) | {"model_type": "embedding"}


def _settings(model: str, kwargs: Mapping[str, Any], place: str) -> dict[str, Any]:
    given = {name: value for name, value in kwargs.items() if value is not None}
    config: dict[str, Any] = {"name": model}
    if endpoint := next((given[name] for name in _ENDPOINTS if given.get(name)), None):
        config["base_url"] = endpoint
    config |= {name: given[name] for name in _OWN if name in given}
    extra = {name: value for name, value in given.items() if name not in (*_OWN, *_ENDPOINTS)}
    return config | ({"extra": json_value(extra, f"{place}.kwargs")} if extra else {})
