"""An artifact's files on disk: written beside their place, checked, then moved there whole.

Their names are ours, never the answer's, but for those of a program's own files: plain relative paths, all below
`source/`. The pickle is read through without running any of it (`pickletools`): a cut or garbled one is found here, and
not by whoever loads it.
"""

import base64
import binascii
import hashlib
import json
import os
import pickletools
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from dspy_service.answers import Artifact
from dspy_service.errors import DamagedArtifact
from dspy_service.files.plain_file import read_plain

PICKLE = "program.pkl"
STATE = "program.json"
PROMPT = "prompt.md"
METADATA = "metadata.json"
BASELINE = "baseline.json"
MESSAGES = "messages.json"
ARGUMENTS = "arguments.json"
NEAREST = "knn.json"
JOINED = "joined.json"
NAMES = (PICKLE, STATE, PROMPT, METADATA, BASELINE, MESSAGES, ARGUMENTS, NEAREST, JOINED)
SOURCE = "source"
"""Folder of what was submitted: the program, the signature, and the program's files by their paths, among which none
has one of these two names: the service refuses them."""
OF_JOINED = "joined"
"""Folder of the sources of programs that an ensemble joined, each in a folder by its number."""
FOLDERS = (SOURCE, OF_JOINED)
SIGNATURE = f"{SOURCE}/user_signature.py"
PROGRAM = f"{SOURCE}/user_program.py"
LOAD = "load.py"
"""Builds the program anew where only dspy is installed: a copy of `rebuild.py`, and no part of the answer."""
MANIFEST = "manifest.json"
_LOADER = Path(__file__).with_name("rebuild.py")
MAX_FILE_BYTES = 512 * 1024 * 1024
_MAX_MANIFEST_BYTES = 64 * 1024
_MOST_ENTRIES = 10_000
_PART = re.compile(r"[^/\\:*?\"<>|]{1,255}")
"""One name of a path: no separator of any system, and nothing that one of them reads as more than a name."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Which job of which service the files are of."""

    service: str = ""
    job_id: str = ""


def write_artifact(artifact: Artifact, directory: Path, origin: Origin | None = None) -> dict[str, str]:
    """The digests of what was written, by name. What an earlier artifact left under our names is removed."""
    files = artifact_files(artifact)
    digests = digests_of(files)
    earlier = _earlier_sources(directory)
    if foreign := sorted(_found_sources(directory) - earlier - {*FOLDERS, *files}):
        raise DamagedArtifact(f"{directory / foreign[0]} is no file of the program's: choose another directory.")
    directory.mkdir(parents=True, exist_ok=True)
    for name in {*NAMES, *earlier} - set(files):
        (directory / name).unlink(missing_ok=True)
    beside = {MANIFEST: _manifest(files, origin or Origin()), LOAD: _LOADER.read_bytes()}
    for name, content in {**files, **beside}.items():
        _write(directory, name, content)
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
    others = {
        BASELINE: artifact.baseline_state,
        MESSAGES: artifact.messages,
        ARGUMENTS: artifact.arguments,
        NEAREST: artifact.nearest_rows,
    }
    files |= {name: _json(value) for name, value in others.items() if value is not None}
    files |= _sources(artifact)
    files |= _joined(artifact.joined_programs)
    _check_sent(files, _said(artifact))
    return files


def _sources(artifact: Artifact) -> dict[str, bytes]:
    own = {SIGNATURE: artifact.signature_code, PROGRAM: artifact.program_code}
    others = {f"{SOURCE}/{path}": text for path, text in (artifact.program_files or {}).items()}
    if wrong := [path for path in others if path in own or not _is_plain(path)]:
        raise DamagedArtifact(f"The program has a file with an odd path: {wrong[0]!r}")
    texts = {name: text for name, text in (own | others).items() if text is not None}
    return {name: text.encode(errors="surrogatepass") for name, text in texts.items()}


def _joined(told: Mapping[str, Any] | None) -> dict[str, bytes]:
    """The sources as files, and what is said of them beside these."""
    if told is None:
        return {}
    files, programs = {}, []
    try:
        for number, program in enumerate(told["programs"]):
            texts = {"user_signature.py": program["signature_code"], "user_program.py": program["program_code"]}
            own = (program["program_files"] or {}) | {name: text for name, text in texts.items() if text is not None}
            if wrong := [path for path in own if not _is_plain(path)]:
                raise DamagedArtifact(f"A joined program has a file with an odd path: {wrong[0]!r}")
            for path, text in own.items():
                files[f"{OF_JOINED}/{number}/{path}"] = text.encode(errors="surrogatepass")
            programs.append({name: program[name] for name in ("job_id", "arguments")})
        return {**files, JOINED: _json({**told, "programs": programs})}
    except (KeyError, TypeError, AttributeError) as exc:
        raise DamagedArtifact(f"What the ensemble joined cannot be read: {exc}") from exc


def _is_plain(path: str) -> bool:
    """Relative, going nowhere but down, and the same on every system."""
    parts = path.split("/")
    return path.isprintable() and all(_PART.fullmatch(part) and part.strip(". ") for part in parts)


def _said(artifact: Artifact) -> dict[str, str]:
    """Digests by the service's record, of the files that travel as they are."""
    sent = artifact.digests
    own = {PICKLE: PICKLE, PROMPT: PROMPT, SIGNATURE: "signature.py", PROGRAM: "program.py"}
    others = {
        f"{SOURCE}/{path}": artifact.submitted_digests.get(f"program_files/{path}")
        for path in artifact.program_files or {}
    }
    told = {name: sent.get(known) for name, known in own.items()} | others
    return {name: digest for name, digest in told.items() if digest is not None}


def digests_of(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def check_directory(directory: Path, digests: Mapping[str, str]) -> None:
    """Raises `DamagedArtifact` unless the artifact's files are these and no others."""
    wanted = sorted({*NAMES, *_found_sources(directory), *digests})
    if wrong := [name for name in wanted if _digest_at(directory / name) != digests.get(name)]:
        raise DamagedArtifact(f"{directory}: {', '.join(wrong)} changed since the download.")


def verify_directory(directory: Path) -> None:
    """As the manifest beside them says: a damage by chance is found so, but not one that somebody meant."""
    check_directory(directory, read_manifest(directory)[1])


def read_manifest(directory: Path) -> tuple[Origin, dict[str, str]]:
    try:
        manifest = json.loads(read_plain(directory / MANIFEST, _MAX_MANIFEST_BYTES))
        files = manifest["files"]
        digests = {name: str(files[name]["sha256"]) for name in files if name in NAMES or _is_source(name)}
        return Origin(str(manifest.get("service", "")), str(manifest.get("job_id", ""))), digests
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise DamagedArtifact(f"{directory} holds no whole artifact: {exc}") from exc


def _found_sources(directory: Path) -> set[str]:
    """All that lies among the sources: whoever loads the program may run any of it."""
    folders = [directory / name for name in FOLDERS]
    if links := {folder.name for folder in folders if folder.is_symlink()}:
        return links
    found = islice(chain.from_iterable(folder.rglob("*") for folder in folders), _MOST_ENTRIES)
    return {path.relative_to(directory).as_posix() for path in found if path.is_symlink() or not path.is_dir()}


def _is_source(name: str) -> bool:
    return name.startswith(tuple(f"{folder}/" for folder in FOLDERS)) and _is_plain(name)


def _earlier_sources(directory: Path) -> set[str]:
    """Those that an earlier artifact left here, by its manifest: others in that folder are not ours."""
    try:
        return {name for name in read_manifest(directory)[1] if _is_source(name)}
    except DamagedArtifact:
        return set()


def _check_sent(files: Mapping[str, bytes], said: Mapping[str, str]) -> None:
    """Of the files that travel as they are. JSON travels as values, which every reader writes its own way."""
    found = digests_of({name: files[name] for name in said if name in files})
    if wrong := [name for name, digest in found.items() if said[name] != f"sha256:{digest}"]:
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


def _write(directory: Path, name: str, content: bytes) -> None:
    """A link in its place is replaced, not followed."""
    path = directory / name
    for folder in reversed(path.parents[: name.count("/")]):
        if folder.is_symlink() or not folder.is_dir():
            folder.unlink(missing_ok=True)
            folder.mkdir()
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as part:
        part.write(content)
    os.replace(part.name, path)
