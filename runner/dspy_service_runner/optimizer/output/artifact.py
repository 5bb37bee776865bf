"""The better program, in the forms that people need: a pickle, its state, its source, its prompts, its record."""

import types
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cloudpickle
import dspy
import orjson
from dspy.utils.saving import get_dependency_versions

from dspy_service_core.storage import pod_files
from dspy_service_runner.optimizer.failures import JobFailed, first_line
from dspy_service_runner.optimizer.outbox import timestamp, write_new
from dspy_service_runner.optimizer.output.prompt import readable_prompts
from dspy_service_runner.optimizer.user_code.program import strip_models

_TRIALS = (
    "candidate_programs",
    "mb_candidate_programs",
    "trial_logs",
    "detailed_results",
    "results_best",
    "results_latest",
)
"""What optimizers hang on the program that they return: other programs, hundreds of times its size."""


def trim(program: dspy.Module) -> dspy.Module:
    for name in _TRIALS:
        program.__dict__.pop(name, None)
    strip_models(program)
    return program


def pickled(program: dspy.Module, module: types.ModuleType) -> bytes:
    """Readable by plain `pickle.loads` where only dspy is installed: the user's module travels by value."""
    cloudpickle.register_pickle_by_value(module)
    try:
        return bytes(cloudpickle.dumps(program))
    except Exception as error:
        raise JobFailed("InvalidModule", f"The program cannot be pickled: {first_line(error)}") from error
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def write_artifact(
    folder: Path, program: dspy.Module, module: types.ModuleType, source: str, metadata: dict[str, Any]
) -> None:
    versions = get_dependency_versions()
    created = {"dependency_versions": versions, "created_at": timestamp(datetime.now(UTC))}
    state = program.dump_state() | {"metadata": {"dependency_versions": versions}}
    files = {
        pod_files.PROGRAM_PICKLE: pickled(program, module),
        pod_files.PROGRAM_STATE: _json(state),
        pod_files.SIGNATURE_SOURCE: source.encode(),
        pod_files.PROMPT: readable_prompts(program).encode(errors="replace"),
        pod_files.METADATA: _json(created | metadata),
    }
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        write_new(folder / name, data)


def _json(document: dict[str, Any]) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE, default=str)
