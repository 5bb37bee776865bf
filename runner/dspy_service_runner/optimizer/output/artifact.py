"""Writes the optimized program in the forms that people need: its state, a pickle, its prompts, its record.

Its source is not among them: the reporter adds that as it was submitted.

Each file is written by itself, so that one that fails does not cost the others. Only the state is indispensable, and a
program that was changed by `mend` always has one.
"""

import contextlib
import functools
import json
import logging
import types
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import cloudpickle
import dspy
from dspy.utils.saving import get_dependency_versions

from dspy_service_core.storage import pod_files
from dspy_service_runner.optimizer.failures import first_line
from dspy_service_runner.optimizer.json_form import plain
from dspy_service_runner.optimizer.outbox import timestamp, write_new
from dspy_service_runner.optimizer.output.messages import messages_of
from dspy_service_runner.optimizer.output.prompt import readable_prompts
from dspy_service_runner.optimizer.program_state import State, drop_trials, dump, strip_models
from dspy_service_runner.redaction import Redactor

logger = logging.getLogger("dspy_service.artifact")

Writers = Mapping[str, Callable[[], bytes]]


class NotWritten(Exception):
    """Why a file of the artifact is left out."""


def trim(program: dspy.Module) -> dspy.Module:
    drop_trials(program)
    strip_models(program)
    return program


def pickled(program: dspy.Module, modules: Iterable[types.ModuleType]) -> bytes:
    """`pickle.loads` can read it where only dspy is installed, because the user's modules are pickled by value."""
    with contextlib.ExitStack() as registered:
        for module in modules:
            cloudpickle.register_pickle_by_value(module)
            registered.callback(cloudpickle.unregister_pickle_by_value, module)
        return bytes(cloudpickle.dumps(program))


def write_artifact(
    folder: Path,
    program: dspy.Module,
    modules: Iterable[types.ModuleType],
    baseline: State,
    metadata: Mapping[str, Any],
    redactor: Redactor,
    rows: Callable[[], bytes] | None,
    records: Mapping[str, Any],
) -> dict[str, str]:
    """Returns why each missing file could not be written. Raises `OSError` if the state could not. Without `rows` there
    is no file of them. `baseline` is the state of the program as it was given, `records` is what the optimized one
    needs beside its own state, by the file's name."""
    versions = get_dependency_versions()
    saved_with = {"metadata": {"dependency_versions": versions}}
    folder.mkdir(exist_ok=True)
    write_new(folder / pod_files.PROGRAM_STATE, _json(dump(program) | saved_with))
    missing = _write_each(
        folder,
        {
            pod_files.PROGRAM_PICKLE: lambda: _without_keys(pickled(program, modules), redactor),
            pod_files.BASELINE_STATE: lambda: _json(baseline | saved_with),
            pod_files.MESSAGES: lambda: _json(_messages(program, records)),
            **({pod_files.ROW_RESULTS: rows} if rows else {}),
            **{name: functools.partial(_json, record) for name, record in records.items()},
            pod_files.PROMPT: lambda: readable_prompts(program).encode(errors="replace"),
        },
    )
    record = {"dependency_versions": versions, "created_at": timestamp(), **metadata, "not_written": missing}
    return missing | _write_each(folder, {pod_files.METADATA: lambda: _json(record)})


def _messages(program: dspy.Module, records: Mapping[str, Any]) -> dict[str, Any]:
    if pod_files.NEAREST_ROWS in records:
        raise NotWritten(f"the program takes other demos for each input, from {pod_files.NEAREST_ROWS}")
    return messages_of(program)


def _write_each(folder: Path, writers: Writers) -> dict[str, str]:
    missing = {}
    for name, content in writers.items():
        try:
            write_new(folder / name, _within_limit(name, content()))
        except (Exception, SystemExit) as error:  # user code may run while it is pickled or printed
            missing[name] = first_line(error)
            logger.warning("the program's %s could not be written: %s", name, missing[name])
            with contextlib.suppress(OSError):
                (folder / name).unlink(missing_ok=True)
    return missing


def _within_limit(name: str, content: bytes) -> bytes:
    limit = pod_files.MAX_PICKLE_BYTES if name == pod_files.PROGRAM_PICKLE else pod_files.MAX_TEXT_BYTES
    if len(content) > limit:
        raise NotWritten(f"it has {len(content):,} bytes, and {limit:,} are taken")
    return content


def _without_keys(content: bytes, redactor: Redactor) -> bytes:
    """A pickle that holds keys is not written: they cannot be blanked out, because its strings carry their lengths."""
    if redactor.finds(content):
        raise NotWritten(
            "it would hold one of the job's model keys or secrets (a model set on the program with set_lm carries its "
            "key)"
        )
    return content


def _json(document: Any) -> bytes:
    """Not with orjson, which refuses some values that Python's own writer takes; here nothing may be refused."""
    return json.dumps(plain(document), indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n"
