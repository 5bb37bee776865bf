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
    signature: str


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
    """Names that are not an artifact's own are not looked at."""
    try:
        files = orjson.loads(manifest)["files"]
        return {
            name: files[name]["sha256"].removeprefix("sha256:") for name in pod_files.ARTIFACT_FILES if name in files
        }
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        raise StoreError("the artifact's manifest is broken") from None


def _artifact(path: str, files: dict[str, bytes]) -> Artifact:
    return Artifact(
        path=path,
        pickle_base64=base64.b64encode(files.get(pod_files.PROGRAM_PICKLE, b"")).decode(),
        metadata=files.get(pod_files.METADATA, b"null"),
        prompt=files.get(pod_files.PROMPT, b"").decode(errors="replace"),
        state=files.get(pod_files.PROGRAM_STATE, b"null"),
        signature=files.get(pod_files.SIGNATURE_SOURCE, b"").decode(errors="replace"),
    )
