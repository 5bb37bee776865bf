"""Allows `gold.person["name"]` on a pydantic model, because many existing metrics are written for cells of JSON.

The method is added to the user's own classes, so that gold and prediction are still of the same class. It belongs to
the user's module, because what is pickled with that module must load without ours.
"""

import types
from collections.abc import Iterable, Iterator
from typing import Any, get_args

import pydantic


def allow_keys(annotations: Iterable[Any], module: types.ModuleType) -> None:
    """For each pydantic model in these types, at any depth, unless it defines `__getitem__` itself. `module`: one of
    the user's."""
    found: dict[type[pydantic.BaseModel], None] = {}
    for annotation in annotations:
        _gather(annotation, found)
    for model in found:
        if not hasattr(model, "__getitem__"):
            code = _accessor.__code__.replace(co_filename=str(module.__file__))
            accessor = types.FunctionType(code, vars(module), "__getitem__")
            accessor.__module__, accessor.__qualname__ = model.__module__, f"{model.__qualname__}.__getitem__"
            setattr(model, "__getitem__", accessor)  # noqa: B010  # mypy knows no such method


def _accessor(self: Any, key: str) -> Any:
    """Finds a field by its name or its alias. (Runs with the globals of the user's module, not of this one.)"""
    fields = type(self).model_fields
    if key in fields or key in (self.model_extra or {}):
        return getattr(self, key)
    for name, field in fields.items():
        if key == field.alias:
            return getattr(self, name)
    raise KeyError(key)


def _gather(annotation: Any, found: dict[type[pydantic.BaseModel], None]) -> None:
    for model in _models(annotation):
        if model not in found:
            found[model] = None
            for field in model.model_fields.values():
                _gather(field.annotation, found)


def _models(annotation: Any) -> Iterator[type[pydantic.BaseModel]]:
    is_model = isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel)
    if is_model and not annotation.__module__.startswith("dspy."):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)
