"""An artifact's files on disk: written beside their place, checked, then moved there whole.

The pickle is read through without running any of it (`pickletools`): a cut or garbled one is found here, and not by
whoever loads it. Loading it does run code: load only what comes from a service that you trust.
"""

import base64
import binascii
import hashlib
import json
import os
import pickletools
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .answers import Artifact
from .errors import DamagedArtifact

PICKLE = "program.pkl"
STATE = "program.json"
PROMPT = "prompt.md"
METADATA = "metadata.json"
MANIFEST = "manifest.json"


def write_artifact(artifact: Artifact, directory: Path) -> Path:
    files = artifact_files(artifact)
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in {**files, MANIFEST: _manifest(files)}.items():
        _write(directory / name, content)
    verify_directory(directory)
    return directory


def artifact_files(artifact: Artifact) -> dict[str, bytes]:
    files = {METADATA: _json(artifact.metadata)}
    if artifact.program_pickle_base64 is not None:
        files[PICKLE] = _pickle(artifact.program_pickle_base64)
    if artifact.program_state is not None:
        files[STATE] = _json(artifact.program_state)
    if artifact.optimized_prompt is not None:
        prompt = artifact.optimized_prompt
        files[PROMPT] = prompt.encode(errors="replace") if isinstance(prompt, str) else _json(prompt)
    return files


def verify_directory(directory: Path) -> None:
    """Raises `DamagedArtifact` unless every file is as the manifest beside it says."""
    try:
        listed = json.loads((directory / MANIFEST).read_bytes())["files"]
        wrong = [name for name, entry in listed.items() if _digest((directory / name).read_bytes()) != entry["sha256"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise DamagedArtifact(f"{directory} holds no whole artifact: {exc}") from exc
    if wrong:
        raise DamagedArtifact(f"{directory}: {', '.join(wrong)} changed since the download.")


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


def _manifest(files: Mapping[str, bytes]) -> bytes:
    return _json({"files": {name: {"sha256": _digest(c), "bytes": len(c)} for name, c in files.items()}})


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _write(path: Path, content: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as part:
        part.write(content)
    os.replace(part.name, path)
