"""Reads a job's artifact from the store, whole or not at all: every file must be as its manifest says."""

import base64
import hashlib
from dataclasses import dataclass

import orjson

from dspy_service_api.record import JobRecord, Json
from dspy_service_core import pod_files
from dspy_service_core.errors import NoArtifact, StoreError
from dspy_service_core.store import NotFound, Store, artifact_folder


@dataclass(frozen=True, slots=True)
class Artifact:
    path: str
    pickle_base64: str
    metadata: Json
    prompt: str
    state: Json


_NEEDED = (pod_files.PROGRAM_PICKLE, pod_files.METADATA, pod_files.PROMPT, pod_files.PROGRAM_STATE)
"""What an answer holds of it."""


async def read_artifact(store: Store, record: JobRecord) -> Artifact:
    """Raises `NoArtifact` for a job that made none, `StoreError` for one whose artifact is not whole."""
    if record.status != "success" or not (record.end and record.end.artifact_path):
        raise NoArtifact
    folder = artifact_folder(record.namespace, record.store_id)
    try:
        digests = _digests(await store.get_async(f"{folder}/{pod_files.MANIFEST}"))
        files = {name: await store.get_async(f"{folder}/{name}") for name in digests}
    except NotFound as exc:
        raise StoreError(f"the artifact of job '{record.job_id}' is not whole: {exc}") from exc
    for name, digest in digests.items():
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise StoreError(f"'{folder}/{name}' in the store is not what its manifest says")
    return _artifact(record.end.artifact_path, files)


def _digests(manifest: bytes) -> dict[str, str]:
    try:
        files = orjson.loads(manifest)["files"]
        return {name: files[name]["sha256"].removeprefix("sha256:") for name in _NEEDED}
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        raise StoreError("the artifact's manifest is broken") from None


def _artifact(path: str, files: dict[str, bytes]) -> Artifact:
    return Artifact(
        path=path,
        pickle_base64=base64.b64encode(files[pod_files.PROGRAM_PICKLE]).decode(),
        metadata=_json_or_null(files[pod_files.METADATA]),
        prompt=files[pod_files.PROMPT].decode(errors="replace"),
        state=_json_or_null(files[pod_files.PROGRAM_STATE]),
    )


def _json_or_null(content: bytes) -> Json:
    """The job's own code can write these files: what is no JSON must not break the answer around it."""
    try:
        orjson.loads(content)
    except orjson.JSONDecodeError:
        return b"null"
    return content
