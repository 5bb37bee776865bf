"""Uploads the optimized program from the optimizer's folder into the store, checking each file; then what was
submitted, and the manifest last.

An artifact without a manifest is not served, so a half-uploaded one never is. Text files are redacted. A pickle cannot
be, because it holds the length of each string; so a program whose pickle contains a model key is withheld, and the job
fails with that reason.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson

from dspy_service_core.records.run import ArtifactRef
from dspy_service_core.storage import pod_files
from dspy_service_core.storage.store import Store
from dspy_service_runner.redaction import Redactor
from dspy_service_runner.reporter.artifact.checked_file import CheckedFile, HoldsKey
from dspy_service_runner.reporter.artifact.submitted import Submitted
from dspy_service_runner.reporter.streams.out_folder import OutFolder, TooLarge

_HOLDS_KEY = (
    "The optimized program is withheld: its pickle holds one of the job's model keys or secrets. Keep them out of the "
    "program (a model set on it with set_lm carries its key)."
)


class ArtifactUnusable(Exception):
    """The program that the run left cannot be stored; with the reason and the message for the job."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


@dataclass(frozen=True, slots=True)
class FileRecord:
    sha256: str
    size: int

    def wire(self) -> dict[str, Any]:
        return {"sha256": self.sha256, "bytes": self.size}


def upload_artifact(
    out: OutFolder, store: Store, redactor: Redactor, url: str, submitted: Submitted
) -> ArtifactRef | None:
    """Returns the reference for the status; None where the run left no program."""
    with out.below(pod_files.ARTIFACT) as folder:
        if folder is None or folder.look(pod_files.PROGRAM_STATE) is None:
            return None
        records = {
            name: _upload(folder, name, store, redactor)
            for name in (*pod_files.ARTIFACT_FILES, *pod_files.RECORDS)
            if _present(folder, name)
        }
    records |= {name: _put(name, content, store) for name, content in submitted.files.items()}
    files = {name: record.wire() for name, record in records.items()}
    manifest = orjson.dumps({"files": files, "submitted": submitted.digests})
    store.put(pod_files.MANIFEST, manifest, durable=True)
    size = sum(record.size for record in records.values())
    return ArtifactRef(artifact_path(url), size, f"sha256:{hashlib.sha256(manifest).hexdigest()}")


def artifact_path(url: str) -> str:
    """`<namespace>/artifacts/<id>`: the artifact's folder, which its URL ends in."""
    return "/".join(urlsplit(url).path.strip("/").split("/")[-3:])


def _present(folder: OutFolder, name: str) -> bool:
    files, _ = folder.names()
    return name in files


def _upload(folder: OutFolder, name: str, store: Store, redactor: Redactor) -> FileRecord:
    upload: Callable[[OutFolder, str, Store, Redactor], FileRecord] = (
        _upload_pickle if name == pod_files.PROGRAM_PICKLE else _upload_text
    )
    try:
        return upload(folder, name, store, redactor)
    except TooLarge:
        raise ArtifactUnusable("ArtifactTooLarge", f"The program's {name} is larger than is taken.") from None


def _upload_text(folder: OutFolder, name: str, store: Store, redactor: Redactor) -> FileRecord:
    content = folder.read(name, pod_files.MAX_TEXT_BYTES)
    if content is None:
        raise ArtifactUnusable("ArtifactUnusable", f"The program's {name} is no regular file.")
    content = _safe_json(name, content, redactor) if name.endswith(".json") else _safe_text(content, redactor)
    return _put(name, content, store)


def _put(name: str, content: bytes, store: Store) -> FileRecord:
    store.put(name, content, durable=True)
    return FileRecord(hashlib.sha256(content).hexdigest(), len(content))


def _safe_json(name: str, content: bytes, redactor: Redactor) -> bytes:
    try:
        value = orjson.loads(content)
        rebuilt = orjson.dumps(value)
    except orjson.JSONDecodeError:
        raise ArtifactUnusable("ArtifactUnusable", f"The program's {name} is not JSON.") from None
    except orjson.JSONEncodeError:
        raise ArtifactUnusable("ArtifactUnusable", f"The program's {name} is nested too deeply.") from None
    if not redactor.finds(content) and not redactor.finds(rebuilt):
        return content
    return orjson.dumps(redactor.json(value), option=orjson.OPT_INDENT_2)


def _safe_text(content: bytes, redactor: Redactor) -> bytes:
    return redactor.text(content.decode(errors="replace")).encode()


def _upload_pickle(folder: OutFolder, name: str, store: Store, redactor: Redactor) -> FileRecord:
    with folder.opened(name) as file:
        if file is None:
            raise ArtifactUnusable("ArtifactUnusable", f"The program's {name} is no regular file.")
        descriptor, seen = file
        if seen.size > pod_files.MAX_PICKLE_BYTES:
            raise TooLarge(name)
        checked = CheckedFile(descriptor, seen.size, redactor)
        try:
            store.put(name, checked.content(), durable=True)
        except HoldsKey:
            raise ArtifactUnusable("ArtifactHoldsKey", _HOLDS_KEY) from None
    return FileRecord(checked.sha256, checked.count)
