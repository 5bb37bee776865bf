"""Fills `/job/in` before the optimizer may begin: the job, its rows, what earlier attempts left (journal,
candidates, checkpoint), and last the file `ready`.

The optimizer waits for `ready`, which appears only when this pod is the recorded attempt. There are two kinds of
failure: a `UsersFault` ends the job with a reason; anything else (store, disk, a dataset's server) is tried again.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from dspy_service_core.resource import names
from dspy_service_core.resource.sources import (
    DATASET_MOUNTED,
    INITIAL,
    JOINED,
    ConfigMapKey,
    Source,
    sources_of,
    with_sources,
)
from dspy_service_core.rows.json_file import JsonFile
from dspy_service_core.rows.rows import json_rows, read_rows
from dspy_service_core.storage import pod_files
from dspy_service_core.storage.segments import stream
from dspy_service_core.storage.store import Store
from dspy_service_runner.reporter.artifact.checkpoint import restore_checkpoint
from dspy_service_runner.reporter.inputs.arguments import Arguments
from dspy_service_runner.reporter.inputs.dataset import UsersFault, check_rows, write_rows
from dspy_service_runner.reporter.inputs.dataset_uri import fetch
from dspy_service_runner.reporter.inputs.program import checked_programs, checked_state, referenced, write_files

_FETCHED = ".dataset"
_FETCHED_PAYLOAD = ".payload"

JsonObject = dict[str, Any]


def is_ready(arguments: Arguments) -> bool:
    """Whether a reporter that ran in this pod before has done this already."""
    return (arguments.in_folder / pod_files.READY).exists()


def restore(arguments: Arguments, resource: JsonObject, store: Store) -> None:
    """Writes everything but `ready`."""
    spec = resource["spec"]
    payload = _payload(spec, store, arguments.in_folder)
    job = {
        "jobId": names.job_id(arguments.resource),
        "name": arguments.resource,
        "namespace": arguments.namespace,
        "attempt": arguments.attempt,
        "targets": orjson.loads(arguments.targets),
        "estimate": (resource["metadata"].get("annotations") or {}).get(names.ANNOTATION_ESTIMATE),
        "spec": with_sources(
            {key: value for key, value in spec.items() if key != "dataset"},
            lambda source: _form(source, payload, arguments.refs_folder),
        ),
    }
    write_files(sources_of(spec), payload, arguments)
    rows = _rows(spec["dataset"], payload, arguments)
    write_rows(check_rows(rows, spec.get("columns") or {}), arguments.in_folder / pod_files.ROWS)
    for fetched in (_FETCHED, _FETCHED_PAYLOAD):
        (arguments.in_folder / fetched).unlink(missing_ok=True)
    _write_stream(store, arguments.in_folder, pod_files.CALLS)
    if arguments.attempt > 1:
        _write_stream(store, arguments.in_folder, pod_files.CANDIDATES)
    restore_checkpoint(store, arguments.in_folder)
    (arguments.in_folder / pod_files.JOB).write_bytes(orjson.dumps(job))


def say_ready(arguments: Arguments) -> None:
    (arguments.in_folder / pod_files.READY).touch()


def say_refused(arguments: Arguments) -> None:
    (arguments.in_folder / pod_files.REFUSED).touch()


def say_stop(arguments: Arguments, how: str) -> None:
    """Writes the file under another name first, because the optimizer may read it at any moment."""
    temporary = arguments.in_folder / f".{pod_files.STOP}"
    temporary.write_text(how)
    temporary.rename(arguments.in_folder / pod_files.STOP)


def _payload(spec: JsonObject, store: Store, folder: Path) -> JsonFile | None:
    """The document in the store to which large rows and code were moved; None where nothing was moved."""
    digests = {source.payload_digest for source in sources_of(spec) if source.payload_digest is not None}
    if rows := spec["dataset"].get("payload"):
        digests.add(rows["digest"])
    if not digests:
        return None
    path, found = folder / _FETCHED_PAYLOAD, hashlib.sha256()
    with path.open("wb") as file:
        for piece in store.pieces(pod_files.PAYLOAD):
            found.update(piece)
            file.write(piece)
    if digests != {f"sha256:{found.hexdigest()}"}:
        message = f"The job's payload in the store has the digest sha256:{found.hexdigest()}."
        raise UsersFault("DigestMismatch", message)
    return JsonFile(path)


def _form(source: Source, payload: JsonFile | None, refs: Path) -> JsonObject:
    """How the optimizer finds a source: its text is in the job, but for files, each of which is a file here too."""
    if source.file is not None:
        return {}
    text = _text(source, payload, refs)
    check = _CHECKS.get(source.name) if source.config_map_key is not None else None  # the API has parsed what it stores
    return {"code": check(text) if check else text}


_CHECKS = {INITIAL: checked_state, JOINED: checked_programs}


def _text(source: Source, payload: JsonFile | None, refs: Path) -> str:
    if source.code is not None:
        return source.code
    if source.config_map_key is not None:
        path = referenced(refs / source.mounted, source.config_map_key)
        return path.read_text(encoding="utf-8", errors="replace")
    found = payload.member(source.name) if payload else None
    return found if isinstance(found, str) else orjson.dumps(found or {}).decode()


def _rows(dataset: JsonObject, payload: JsonFile | None, arguments: Arguments) -> Iterable[Any]:
    if dataset.get("rows") is not None:
        return list(dataset["rows"])
    if payload is not None and dataset.get("payload"):
        return json_rows(arguments.in_folder / _FETCHED_PAYLOAD, "rows")
    if reference := dataset.get("configMapKeyRef"):
        key = ConfigMapKey(reference["name"], reference["key"])
        return read_rows(key.key, referenced(arguments.refs_folder / DATASET_MOUNTED, key))
    fetched = arguments.in_folder / _FETCHED
    uri = dataset["uri"]
    fetch(uri, dataset.get("digest") or "", fetched, arguments.uri_prefixes, arguments.dataset_limit)
    return read_rows(uri.rpartition("/")[2].partition("?")[0], fetched)


def _write_stream(store: Store, folder: Path, name: str) -> None:
    with (folder / name).open("wb") as file:
        for _, line in stream(store, name.removesuffix(".jsonl")):
            file.write(line + b"\n")
