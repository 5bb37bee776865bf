"""Names to classes: an alias, or any dotted path under which a class can be reached.

Which names a job may use was decided before it got here (API and operator, by the same registry). A dotted path that
only the service's registry allows is therefore simply imported: a pod without that registry file is no reason to fail.
"""

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dspy_service_core import registry
from dspy_service_core.registry import Registry, Resolved, UnknownName
from dspy_service_core.registry_file import RegistryError
from dspy_service_runner.optimizer.failures import JobFailed, first_line


@dataclass(frozen=True)
class Found:
    """The class, and the kwargs that the operator of the service registered with its alias."""

    target: type
    kwargs: dict[str, Any]
    compile_kwargs: dict[str, Any]


def load_registry(path: str) -> Registry:
    try:
        return Registry.load(path) if path else registry.default()
    except RegistryError as error:
        raise JobFailed("InvalidRegistry", f"The service's registry cannot be read: {error}") from error


def find_module(name: str, known: Registry) -> Found:
    return _find(name, "module", "InvalidModule", known.resolve_module)


def find_optimizer(name: str, known: Registry) -> Found:
    return _find(name, "optimizer", "InvalidOptimizer", known.resolve_optimizer)


def _find(name: str, kind: str, reason: str, resolve: Callable[[str], Resolved[Any]]) -> Found:
    try:
        resolved = resolve(name)
    except UnknownName as error:
        if "." not in name:
            raise JobFailed(reason, str(error)) from error
        resolved = Resolved(name, name, None)
    try:
        target = _import(resolved.path)
    except Exception as error:
        raise JobFailed(reason, f"The {kind} '{name}' cannot be loaded: {first_line(error)}") from error
    if not inspect.isclass(target):
        raise JobFailed(reason, f"The {kind} '{name}' is not a class.")
    return Found(target, dict(resolved.kwargs), dict(resolved.compile_kwargs))


def _import(path: str) -> Any:
    """The longest importable prefix, then attributes."""
    parts = path.split(".")
    for length in range(len(parts) - 1, 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(f"No module named '{parts[0]}'")
