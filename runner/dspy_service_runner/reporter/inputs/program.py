"""Writes a program's files into `/job/in`, each as a file with a number, and checks the state that a job begins
with and the programs that it joins.

Files may be 4 MB together, from the spec, from ConfigMaps and from the payload, and the reporter has 40 MB: so they are
written one after the other. ConfigMaps could change since the operator looked, so they are counted here once more.
"""

from collections.abc import Sequence
from pathlib import Path

import orjson

from dspy_service_core.resource.sources import FILES, MOST_FILE_BYTES, ConfigMapKey, Source
from dspy_service_core.rows.json_file import JsonFile
from dspy_service_runner.reporter.inputs.arguments import Arguments
from dspy_service_runner.reporter.inputs.dataset import UsersFault


def write_files(sources: Sequence[Source], payload: JsonFile | None, arguments: Arguments) -> None:
    left = MOST_FILE_BYTES
    stored: dict[str, Source] = {}
    for source in sources:
        if source.file is not None and source.payload_digest is not None:
            stored[source.file] = source
        elif source.file is not None:
            content = _content(source, arguments.refs_folder, left)
            left -= _write(arguments.in_folder / source.mounted, content, left)
    for path, text in payload.pairs(FILES) if payload and stored else ():
        if (named := stored.pop(path, None)) is not None:
            left -= _write(arguments.in_folder / named.mounted, str(text).encode(), left)
    if stored:
        raise UsersFault("InvalidProgram", f"The job's payload in the store lacks the file '{next(iter(stored))}'.")


def checked_state(text: str) -> str:
    """A program state as JSON; raises `UsersFault` for anything else."""
    try:
        state = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise UsersFault("InvalidInitialState", f"spec.initial is not JSON: {error}.") from None
    if not isinstance(state, dict):
        raise UsersFault("InvalidInitialState", "spec.initial is not a JSON object, as a program's state is.")
    return text


def checked_programs(text: str) -> str:
    """Programs of earlier jobs as JSON; which of them are whole, the optimizer tells."""
    try:
        programs = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise UsersFault("InvalidProgram", f"spec.joined is not JSON: {error}.") from None
    if not isinstance(programs, list) or not all(isinstance(each, dict) for each in programs):
        raise UsersFault("InvalidProgram", "spec.joined is not a JSON list, each item of which is a program_artifact.")
    return text


def referenced(path: Path, key: ConfigMapKey) -> Path:
    if not path.exists():
        message = f"The ConfigMap '{key.name}' has no key '{key.key}'."
        raise UsersFault("ConfigMapKeyNotFound", message)
    return path


def _content(source: Source, refs: Path, most: int) -> bytes:
    if source.config_map_key is None:
        return (source.code or "").encode()
    with referenced(refs / source.mounted, source.config_map_key).open("rb") as file:
        return file.read(most + 1)


def _write(path: Path, content: bytes, left: int) -> int:
    if len(content) > left:
        message = f"The program's files have more than {MOST_FILE_BYTES} bytes together, and no more are allowed."
        raise UsersFault("InvalidProgram", message)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return len(content)
