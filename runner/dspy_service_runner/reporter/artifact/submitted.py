"""What the artifact says of the program as it was submitted: sources, arguments, and digests of the job's record.

It comes from the job in `/job/in`, which this container wrote and the optimizer's can only read. The optimizer's own
folder would not do: the job's code runs there, and could leave another source than the one that was sent.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from dspy_service_core.resource.adapters import DEFAULT_ADAPTER
from dspy_service_core.resource.sources import FILES, JOINED, PROGRAM, SIGNATURE, Source, sources_of
from dspy_service_core.storage import pod_files
from dspy_service_runner.redaction import Redactor

_FILES = {SIGNATURE: pod_files.SIGNATURE_SOURCE, PROGRAM: pod_files.PROGRAM_SOURCE}
"""Which sources are files of the artifact. The metric is none: it is no part of the program."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Submitted:
    files: Mapping[str, bytes]
    """The artifact's files, by name."""
    digests: Mapping[str, str]
    """Of each source, and of the payload in the store: what the service was sent and keeps."""


def read_submitted(in_folder: Path, spec: Mapping[str, Any], redactor: Redactor) -> Submitted:
    """`spec` is the resource's, which says what lies in the store."""
    job = orjson.loads((in_folder / pod_files.JOB).read_bytes())
    texts = {source: redactor.text(_text(source, in_folder)) for source in sources_of(job["spec"])}
    files = {_FILES[source.name]: text.encode() for source, text in texts.items() if source.name in _FILES}
    if others := {source.file: text for source, text in texts.items() if source.file is not None}:
        files[pod_files.PROGRAM_FILES] = orjson.dumps(others)
    files[pod_files.ARGUMENTS] = orjson.dumps(redactor.json(_arguments(job)), option=orjson.OPT_INDENT_2)
    if joined := next((source.code for source in texts if source.name == JOINED), None):
        files[pod_files.JOINED_PROGRAMS] = orjson.dumps(redactor.json(_joined(joined, job)))
    return Submitted(files, {_name(source): _digest(text) for source, text in texts.items()} | _payload(spec))


def _text(source: Source, in_folder: Path) -> str:
    """A program's files are files in `/job/in`, too; all other sources are in the job."""
    if source.file is None:
        return source.code or ""
    return (in_folder / source.mounted).read_bytes().decode(errors="replace")


def _name(source: Source) -> str:
    return source.name if source.file is None else f"{FILES}/{source.file}"


def _arguments(job: Json) -> Json:
    """With what the operator's registry adds to the module's arguments."""
    spec, target = job["spec"], job["targets"].get("module") or {}
    given = spec.get(PROGRAM) or spec.get("module") or {}
    return {
        "module": target.get("path"),
        "class": (spec.get(PROGRAM) or {}).get("name") or None,
        "kwargs": (target.get("kwargs") or {}) | (given.get("kwargs") or {}),
        "adapter": spec.get("adapter") or DEFAULT_ADAPTER,
    }


_OF_JOINED = ("job_id", "arguments", "signature_code", "program_code", "program_files")


def _joined(programs: str, job: Json) -> Json:
    """Their states are in that of the joined program."""
    kept = [{name: each.get(name) for name in _OF_JOINED} for each in orjson.loads(programs)]
    kwargs = (job["targets"]["optimizer"].get("kwargs") or {}) | (job["spec"]["optimizer"].get("kwargs") or {})
    return {"programs": kept, "kwargs": kwargs}


def _payload(spec: Mapping[str, Any]) -> dict[str, str]:
    """The digest of the document in the store that holds what was too large for the resource."""
    told = [source.payload_digest for source in sources_of(spec)]
    told.append((spec["dataset"].get("payload") or {}).get("digest"))
    digest = next(filter(None, told), None)
    return {"payload": digest} if digest else {}


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
