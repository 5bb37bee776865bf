"""Reads a job's artifact from the store. Every file must match the manifest; otherwise the whole artifact is
refused."""

import base64
import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

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


_ANSWERED = (pod_files.PROGRAM_PICKLE, pod_files.METADATA, pod_files.PROMPT, pod_files.PROGRAM_STATE)
"""The files that an answer holds. Only the state is always there: some programs cannot be pickled."""


async def read_artifact(store: Store, record: JobRecord) -> Artifact:
    """Raises `NoArtifact` if the job made none, and `StoreError` if its artifact is incomplete or changed."""
    told, files, digests = await _read(store, record, _ANSWERED)
    return _artifact(told.path, files, digests)


async def read_file(store: Store, record: JobRecord, name: str) -> bytes | None:
    """One of the artifact's files; None where it has no such file."""
    _, files, _ = await _read(store, record, (name,))
    return files.get(name)


async def _read(
    store: Store, record: JobRecord, wanted: Collection[str]
) -> tuple[ArtifactRef, dict[str, bytes], dict[str, str]]:
    """The wanted files that there are, with their digests."""
    told = record.end.artifact if record.end and record.keeps_result else None
    if told is None:
        raise NoArtifact
    folder = artifact_folder(record.namespace, record.store_id)
    try:
        manifest = await store.get_async(f"{folder}/{pod_files.MANIFEST}")
        _check_manifest(manifest, told.digest, folder)
        digests = {name: digest for name, digest in _digests(manifest).items() if name in wanted}
        files = {name: await store.get_async(f"{folder}/{name}") for name in digests}
    except NotFound as exc:
        if record.kept_by:
            raise NoArtifact from exc
        raise StoreError(f"the artifact of job '{record.job_id}' is not whole: {exc}") from exc
    for name, digest in digests.items():
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise StoreError(f"'{folder}/{name}' in the store is not what its manifest says")
    return told, files, digests


def _check_manifest(manifest: bytes, recorded: str, folder: str) -> None:
    """Compares the manifest with the job's status, which cannot be changed by writing to the store."""
    if recorded and recorded != f"sha256:{hashlib.sha256(manifest).hexdigest()}":
        raise StoreError(f"'{folder}/{pod_files.MANIFEST}' in the store is not what the job's status says")


def _digests(manifest: bytes) -> dict[str, str]:
    try:
        files = orjson.loads(manifest)["files"]
        digests = {name: files[name]["sha256"].removeprefix("sha256:") for name in files}
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        digests = {}
    if pod_files.PROGRAM_STATE not in digests:
        raise StoreError("the artifact's manifest is broken")
    return digests


def _artifact(path: str, files: Mapping[str, bytes], digests: Mapping[str, str]) -> Artifact:
    pickle, prompt = files.get(pod_files.PROGRAM_PICKLE), files.get(pod_files.PROMPT)
    return Artifact(
        path=path,
        pickle_base64=None if pickle is None else base64.b64encode(pickle).decode(),
        metadata=_json_or_null(files.get(pod_files.METADATA)),
        prompt=None if prompt is None else prompt.decode(errors="replace"),
        state=_json_or_null(files[pod_files.PROGRAM_STATE]),
        digests={name: f"sha256:{digest}" for name, digest in digests.items()},
    )


def _json_or_null(content: bytes | None) -> Json:
    """The job's own code can write these files, so broken or too deeply nested JSON must not break the answer that it
    is put into: it becomes null."""
    shown = nesting.bounded(content or b"null")
    try:
        orjson.loads(shown)
    except orjson.JSONDecodeError:
        return b"null"
    return shown
