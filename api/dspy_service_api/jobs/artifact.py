"""Reads a job's artifact from the store. Every file must match the manifest; otherwise the whole artifact is
refused."""

import base64
import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import orjson

from dspy_service_api.jobs.record import JobRecord, Json
from dspy_service_core import nesting
from dspy_service_core.errors import NoArtifact, StoreError
from dspy_service_core.records.run import ArtifactRef
from dspy_service_core.storage import pod_files
from dspy_service_core.storage.store import NotFound, Store, artifact_folder


@dataclass(frozen=True, slots=True)
class Artifact:
    path: str
    pickle_base64: str | None
    metadata: Json
    prompt: str | None
    state: Json
    digests: Mapping[str, str]
    """Digest of each file as the reporter recorded it: `sha256:<hex>`."""
    baseline_state: Json = b"null"
    messages: Json = b"null"
    signature_code: str | None = None
    program_code: str | None = None
    program_files: Json = b"null"
    arguments: Json = b"null"
    nearest_rows: Json = b"null"
    joined_programs: Json = b"null"
    submitted: Mapping[str, str] = field(default_factory=dict)
    """Digest of each source that was submitted, by its name."""


_ANSWERED = frozenset(pod_files.ARTIFACT_FILES + pod_files.RECORDS + pod_files.SUBMITTED_FILES) - {
    pod_files.ROW_RESULTS
}
"""The files that an answer holds. Only the state is always there: some programs cannot be pickled."""


async def read_artifact(store: Store, record: JobRecord) -> Artifact:
    """Raises `NoArtifact` if the job made none, and `StoreError` if its artifact is incomplete or changed."""
    told, files, manifest = await _read(store, record, _ANSWERED)
    return _artifact(told.path, files, manifest)


async def read_file(store: Store, record: JobRecord, name: str) -> bytes | None:
    """One of the artifact's files; None where it has no such file."""
    return (await read_files(store, record, (name,))).get(name)


async def read_files(store: Store, record: JobRecord, names: Collection[str]) -> Mapping[str, bytes]:
    """Those of the artifact's files that it has."""
    _, files, _ = await _read(store, record, names)
    return files


@dataclass(frozen=True, slots=True)
class _Manifest:
    digests: Mapping[str, str]
    """By file, in hex."""
    submitted: Mapping[str, str]


async def _read(
    store: Store, record: JobRecord, wanted: Collection[str]
) -> tuple[ArtifactRef, dict[str, bytes], _Manifest]:
    """The wanted files that there are, with what the manifest says."""
    told = record.end.artifact if record.end and record.keeps_result else None
    if told is None:
        raise NoArtifact
    folder = artifact_folder(record.namespace, record.store_id)
    try:
        content = await store.get_async(f"{folder}/{pod_files.MANIFEST}")
        _check_manifest(content, told.digest, folder)
        manifest = _manifest(content, wanted)
        files = {name: await store.get_async(f"{folder}/{name}") for name in manifest.digests}
    except NotFound as exc:
        if record.kept_by:
            raise NoArtifact from exc
        raise StoreError(f"the artifact of job '{record.job_id}' is not whole: {exc}") from exc
    for name, digest in manifest.digests.items():
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise StoreError(f"'{folder}/{name}' in the store is not what its manifest says")
    return told, files, manifest


def _check_manifest(manifest: bytes, recorded: str, folder: str) -> None:
    """Compares the manifest with the job's status, which cannot be changed by writing to the store."""
    if recorded and recorded != f"sha256:{hashlib.sha256(manifest).hexdigest()}":
        raise StoreError(f"'{folder}/{pod_files.MANIFEST}' in the store is not what the job's status says")


def _manifest(content: bytes, wanted: Collection[str]) -> _Manifest:
    try:
        document = orjson.loads(content)
        digests = {name: file["sha256"].removeprefix("sha256:") for name, file in document["files"].items()}
        submitted = dict(document.get("submitted") or {})
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
        digests, submitted = {}, {}
    if pod_files.PROGRAM_STATE not in digests:
        raise StoreError("the artifact's manifest is broken")
    return _Manifest({name: digest for name, digest in digests.items() if name in wanted}, submitted)


def _artifact(path: str, files: Mapping[str, bytes], manifest: _Manifest) -> Artifact:
    pickle = files.get(pod_files.PROGRAM_PICKLE)
    return Artifact(
        path=path,
        pickle_base64=None if pickle is None else base64.b64encode(pickle).decode(),
        metadata=_json_or_null(files.get(pod_files.METADATA)),
        prompt=_text_or_none(files.get(pod_files.PROMPT)),
        state=_json_or_null(files[pod_files.PROGRAM_STATE]),
        digests={name: f"sha256:{digest}" for name, digest in manifest.digests.items()},
        baseline_state=_json_or_null(files.get(pod_files.BASELINE_STATE)),
        messages=_object_or_null(files.get(pod_files.MESSAGES)),
        signature_code=_text_or_none(files.get(pod_files.SIGNATURE_SOURCE)),
        program_code=_text_or_none(files.get(pod_files.PROGRAM_SOURCE)),
        program_files=_object_or_null(files.get(pod_files.PROGRAM_FILES)),
        arguments=_object_or_null(files.get(pod_files.ARGUMENTS)),
        nearest_rows=_object_or_null(files.get(pod_files.NEAREST_ROWS)),
        joined_programs=_object_or_null(files.get(pod_files.JOINED_PROGRAMS)),
        submitted=manifest.submitted,
    )


def _object_or_null(content: bytes | None) -> Json:
    shown = _json_or_null(content)
    return shown if isinstance(orjson.loads(shown), dict) else b"null"


def _text_or_none(content: bytes | None) -> str | None:
    return None if content is None else content.decode(errors="replace")


def _json_or_null(content: bytes | None) -> Json:
    """The job's own code can write these files, so broken or too deeply nested JSON must not break the answer that it
    is put into: it becomes null."""
    shown = nesting.bounded(content or b"null")
    try:
        orjson.loads(shown)
    except orjson.JSONDecodeError:
        return b"null"
    return shown
