"""Runs the source of the signature, of the program and of the metric, and picks from it what the contract says is
meant.

Each source becomes a real module, registered before it runs: with a bare dict, postponed annotations would not
resolve, and pickling by value needs a module. Tracebacks show the user's lines through `linecache`, and so do DSPy's
optimizers that send a class's source to a model.
"""

import errno
import inspect
import linecache
import re
import sys
import traceback
import types
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import dspy

from dspy_service_core.resource.sources import METRIC_FUNCTION
from dspy_service_runner.optimizer.failures import JobFailed, first_line

_MODULE = "user_"
"""Prefix of these modules' names, so that none of them hides another module."""
FOLDER = "user_program"
"""Name of the folder in which a program's files lie."""
_USERS = re.compile(rf"<{_MODULE}|.*/{FOLDER}/(?P<file>.+\.py)$")
"""What the user's code is called in tracebacks."""
_DYNAMIC = "dspy.signatures.signature"
"""The `__module__` of signatures that dspy makes from strings."""


def run_source(
    name: str,
    code: str,
    reason: str,
    models: Mapping[str, Any] | None = None,
    *,
    folder: Path | None = None,
    names: Mapping[str, Any] | None = None,
    package: str = "",
) -> types.ModuleType:
    """`name` is what the spec calls the source; `models` becomes the global `models` of its code. `folder` is where its
    file lies, and makes it a package, for code that says `from .helpers import clean`. `names`: further globals.
    `package` is that of which it is a module, where several programs share a process."""
    module = types.ModuleType(f"{package}.{module_name(name)}" if package else module_name(name))
    module.__file__ = str(folder / source_file(name)) if folder else f"<{module.__name__}>"
    module.__dict__.update(names or {}, dspy=dspy, models=models or {})
    if folder:
        module.__path__ = [str(folder)]
    sys.modules[module.__name__] = module
    linecache.cache[module.__file__] = (len(code), None, code.splitlines(keepends=True), module.__file__)
    try:
        exec(compile(code, module.__file__, "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        raise JobFailed(reason, f"The {name}'s code failed{user_line(error)}: {explained(error)}") from error
    return module


def module_name(name: str) -> str:
    return f"{_MODULE}{name}"


def source_file(name: str) -> str:
    return f"{module_name(name)}.py"


def pick_signature(module: types.ModuleType) -> type[dspy.Signature]:
    """The only class derived from `dspy.Signature` that no other class there derives from."""
    classes = {value: None for value in vars(module).values() if _is_own_signature(value, module)}
    leaves = [c for c in classes if not any(other is not c and issubclass(other, c) for other in classes)]
    if len(leaves) == 1:
        picked: type[dspy.Signature] = leaves[0]
        return picked
    if not leaves:
        raise JobFailed("InvalidSignature", "The signature's code defines no class derived from dspy.Signature.")
    raise JobFailed(
        "InvalidSignature",
        f"The signature's code defines several signatures, and must define one: {_names(module, leaves)}.",
    )


def pick_metric(module: types.ModuleType) -> Callable[..., Any]:
    """The function named `metric`, else the only one defined at top level."""
    named = vars(module).get(METRIC_FUNCTION)
    if callable(named) and not inspect.isclass(named):
        return _checked(named)
    own = [f for f in vars(module).values() if inspect.isfunction(f) and f.__module__ == module.__name__]
    if len(own) == 1:
        return _checked(own[0])
    found = f"defines {_names(module, own)}" if own else "defines none"
    raise JobFailed(
        "InvalidMetric",
        f"The metric's code must define a function named 'metric' or exactly one function at top level; it {found}.",
    )


def positional_arguments(metric: Callable[..., Any]) -> int:
    """How many of (gold, pred, trace, pred_name, pred_trace) the metric takes."""
    parameters = list(inspect.signature(metric).parameters.values())
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return 5
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return min(len(positional), 5)


def _checked(metric: Callable[..., Any]) -> Callable[..., Any]:
    name = getattr(metric, "__name__", "metric")
    if inspect.iscoroutinefunction(metric) or inspect.isgeneratorfunction(metric):
        raise JobFailed("InvalidMetric", f"The metric {name!r} is async or a generator; it must return its score.")
    given = [None] * positional_arguments(metric)
    try:
        inspect.signature(metric).bind(*given)
    except TypeError as error:
        raise JobFailed(
            "InvalidMetric", f"The metric {name!r} cannot be called with {len(given)} arguments: {error}."
        ) from None
    if len(given) < 2:
        raise JobFailed("InvalidMetric", f"The metric {name!r} takes {len(given)} arguments; it gets gold and pred.")
    return metric


def _is_own_signature(value: object, module: types.ModuleType) -> bool:
    if not (inspect.isclass(value) and issubclass(value, dspy.Signature)) or value is dspy.Signature:
        return False
    return value.__module__ == module.__name__ or value.__module__ == _DYNAMIC


def _names(module: types.ModuleType, values: Iterable[object]) -> str:
    wanted = list(values)
    return ", ".join(name for name, value in vars(module).items() if any(value is other for other in wanted))


def explained(error: BaseException) -> str:
    """The error of the user's code in one line, and what helps where that is known."""
    if isinstance(error, SystemExit):
        return "it calls sys.exit"
    return with_cure(first_line(error), error)


def with_cure(said: str, error: BaseException) -> str:
    cure = _cure(error)
    return f"{said}. {cure}" if cure else said


def _cure(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        return (
            f"'{error.name}' is no package of this runner and no file of the program: send it in program_files (in a "
            "resource: spec.program.files), or run the job with an image that has the package."
        )
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EROFS, errno.EPERM) and _in_folder(error):
        return "The program's folder is read-only: write below the folder that tempfile.gettempdir() names."
    if isinstance(error, FileNotFoundError):
        return (
            "A file that the program reads has to come with it, in program_files (in a resource: spec.program.files)."
        )
    return ""


def _in_folder(error: OSError) -> bool:
    place = Path.cwd() / str(error.filename)
    return FOLDER in place.parts


def user_line(error: BaseException) -> str:
    """The line of the user's code where the error happened, for messages; empty if it happened elsewhere."""
    if isinstance(error, SyntaxError) and error.lineno:
        return _line(error.lineno, _USERS.match(error.filename or ""))
    frames = traceback.walk_tb(error.__traceback__)
    lines = [(line, found) for frame, line in frames if (found := _USERS.match(frame.f_code.co_filename))]
    return _line(*lines[-1]) if lines else ""


def _line(number: int, found: re.Match[str] | None) -> str:
    file = found["file"] if found else None
    return f" at line {number}" + (f" of {file}" if file and not file.startswith(_MODULE) else "")
