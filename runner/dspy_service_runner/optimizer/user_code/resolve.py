"""Finds classes by their import paths.

Which names a job may use, and which paths they stand for, was decided before, by the API and the operator with the same
registry.
"""

import importlib
import inspect
from typing import Any

from dspy_service_runner.optimizer.failures import JobFailed, first_line


def find_class(path: str, what: str, reason: str) -> type:
    """`what` is how messages call the class: by the name that the job used."""
    try:
        found = _import(path)
    except Exception as error:
        raise JobFailed(reason, f"The {what} cannot be loaded: {first_line(error)}") from error
    if not inspect.isclass(found):
        raise JobFailed(reason, f"The {what} is not a class.")
    return found


def _import(path: str) -> Any:
    """Imports the longest prefix that is a module, and looks the rest up as attributes."""
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
