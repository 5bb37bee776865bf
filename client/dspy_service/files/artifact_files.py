"""An artifact's files on disk: written beside their place, checked, then moved there whole.

Their names are ours, never the answer's. The pickle is read through without running any of it (`pickletools`): a cut
or garbled one is found here, and not by whoever loads it.
"""

import base64
import binascii
import hashlib
import json
import os
import pickletools
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dspy_service.answers import Artifact
from dspy_service.errors import DamagedArtifact
from dspy_service.files.plain_file import read_plain

PICKLE = "program.pkl"
STATE = "program.json"
PROMPT = "prompt.md"
METADATA = "metadata.json"
NAMES = (PICKLE, STATE, PROMPT, METADATA)
MANIFEST = "manifest.json"
MAX_FILE_BYTES = 512 * 1024 * 1024
_MAX_MANIFEST_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Origin:
    """Which job of which service the files are of."""

    service: str = ""
    job_id: str = ""


def write_artifact(artifact: Artifact, directory: Path, origin: Origin | None = None) -> dict[str, str]:
    """The digests of what was written, by name. What an earlier artifact left under our names is removed."""
    files = artifact_files(artifact)
    digests = digests_of(files)
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in {**files, MANIFEST: _manifest(files, origin or Origin())}.items():
        _write(directory / name, content)
    for name in set(NAMES) - set(files):
        (directory / name).unlink(missing_ok=True)
    check_directory(directory, digests)
    return digests


def artifact_files(artifact: Artifact) -> dict[str, bytes]:
    """As the service says that they are: raises `DamagedArtifact` for what came otherwise."""
    files = {METADATA: _json(artifact.metadata)}
    if artifact.program_pickle_base64 is not None:
        files[PICKLE] = _pickle(artifact.program_pickle_base64)
    if artifact.program_state is not None:
        files[STATE] = _json(artifact.program_state)
    if artifact.optimized_prompt is not None:
        files[PROMPT] = artifact.optimized_prompt.encode(errors="replace")
    _check_sent(files, artifact.digests)
    return files


def digests_of(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def check_directory(directory: Path, digests: Mapping[str, str]) -> None:
    """Raises `DamagedArtifact` unless the artifact's files are these and no others."""
    found = {name: _digest_at(directory / name) for name in NAMES}
    if wrong := [name for name in NAMES if found[name] != digests.get(name)]:
        raise DamagedArtifact(f"{directory}: {', '.join(wrong)} changed since the download.")


def verify_directory(directory: Path) -> None:
    """As the manifest beside them says: a damage by chance is found so, but not one that somebody meant."""
    check_directory(directory, read_manifest(directory)[1])


def read_manifest(directory: Path) -> tuple[Origin, dict[str, str]]:
    try:
        manifest = json.loads(read_plain(directory / MANIFEST, _MAX_MANIFEST_BYTES))
        digests = {name: str(manifest["files"][name]["sha256"]) for name in NAMES if name in manifest["files"]}
        return Origin(str(manifest.get("service", "")), str(manifest.get("job_id", ""))), digests
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise DamagedArtifact(f"{directory} holds no whole artifact: {exc}") from exc


def _check_sent(files: Mapping[str, bytes], said: Mapping[str, str]) -> None:
    """Of the files that travel as they are. JSON travels as values, which every reader writes its own way."""
    found = digests_of({name: files[name] for name in (PICKLE, PROMPT) if name in files})
    if wrong := [name for name, digest in found.items() if said.get(name) not in (None, f"sha256:{digest}")]:
        raise DamagedArtifact(f"{', '.join(wrong)} arrived other than the service's record says.")


def _pickle(encoded: str) -> bytes:
    try:
        content = base64.b64decode(encoded, validate=True)
        for _ in pickletools.genops(content):
            pass
    except (binascii.Error, ValueError) as exc:
        raise DamagedArtifact(f"The program that arrived is no whole pickle: {exc}") from exc
    return content


def _json(value: Any) -> bytes:
    try:
        return json.dumps(value, indent=2, ensure_ascii=False).encode(errors="replace") + b"\n"
    except RecursionError as exc:
        raise DamagedArtifact("What arrived is nested deeper than can be written.") from exc


def _manifest(files: Mapping[str, bytes], origin: Origin) -> bytes:
    entries = {name: {"sha256": digest, "bytes": len(files[name])} for name, digest in digests_of(files).items()}
    return _json({"service": origin.service, "job_id": origin.job_id, "files": entries})


def _digest_at(path: Path) -> str | None:
    """None where there is nothing; what is no plain file has none of ours."""
    try:
        return hashlib.sha256(read_plain(path, MAX_FILE_BYTES)).hexdigest()
    except FileNotFoundError:
        return None
    except OSError as exc:
        return str(exc)


def _write(path: Path, content: bytes) -> None:
    """A link in its place is replaced, not followed."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as part:
        part.write(content)
    os.replace(part.name, path)
