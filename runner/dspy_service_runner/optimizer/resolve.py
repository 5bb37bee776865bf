"""Names to classes: an alias, or any dotted path under which a class can be reached.

Which names a job may use is decided before it gets here (the API's catalogue and the operator's registry); here a
name only has to lead to the class that it means. What an operator registered comes through the registry's YAML.
"""

import importlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dspy
import yaml
from dspy.teleprompt.teleprompt import Teleprompter

from dspy_service_runner.optimizer.failures import JobFailed, first_line

MODULES = {
    "predict": "dspy.Predict",
    "cot": "dspy.ChainOfThought",
    # The paths that the original's README names, where DSPy has none.
    "dspy.modules.Predict": "dspy.Predict",
    "dspy.modules.ChainOfThought": "dspy.ChainOfThought",
}
OPTIMIZERS = {"bootstraprs": "dspy.BootstrapRS", "bootstrapfewshotrandomsearch": "dspy.BootstrapRS"}
Entry = Mapping[str, Any]


def module_class(name: str, registered: Mapping[str, Entry]) -> tuple[type, dict[str, Any]]:
    """The class, and the default kwargs that the operator registered with it."""
    return _resolve(name, "module", "InvalidModule", MODULES | _spellings(dspy.Module), registered)


def optimizer_class(name: str, registered: Mapping[str, Entry]) -> tuple[type, dict[str, Any]]:
    return _resolve(name, "optimizer", "InvalidOptimizer", OPTIMIZERS | _spellings(Teleprompter), registered)


def read_registry(path: str) -> Mapping[str, Mapping[str, Entry]]:
    """`modules` and `optimizers` of the operator's registry; empty where the service has none."""
    if not path or not Path(path).is_file():
        return {"modules": {}, "optimizers": {}}
    document = yaml.safe_load(Path(path).read_text()) or {}
    return {part: document.get(part) or {} for part in ("modules", "optimizers")}


def _resolve(
    name: str, kind: str, reason: str, aliases: Mapping[str, str], registered: Mapping[str, Entry]
) -> tuple[type, dict[str, Any]]:
    entry = registered.get(name)
    if entry is not None:
        path = str(entry.get("path", ""))
    else:
        path = aliases.get(name) or aliases.get(_squeezed(name)) or name
    try:
        found = _import(path)
    except Exception as error:
        raise JobFailed(reason, f"The {kind} {name!r} cannot be loaded: {first_line(error)}") from error
    if not inspect.isclass(found):
        raise JobFailed(reason, f"The {kind} {name!r} is not a class.")
    return found, dict((entry or {}).get("kwargs") or {})


def _import(path: str) -> Any:
    """The longest importable prefix, then attributes."""
    parts = path.split(".")
    if len(parts) == 1:
        raise LookupError("unknown name")
    for length in range(len(parts) - 1, 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(path)


def _spellings(kind: type) -> dict[str, str]:
    """`miprov2`, `bootstrapfewshot`, ...: every exported class under its name in lower case."""
    exported = [(name, value) for name, value in vars(dspy).items() if inspect.isclass(value)]
    return {name.lower(): f"dspy.{name}" for name, value in exported if issubclass(value, kind)}


def _squeezed(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
