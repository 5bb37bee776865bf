"""The list of what a job carries beside its settings and rows: Python sources, a program's files, a state to begin
with, programs of earlier jobs. All parts use this one.

It is made from a spec's JSON, because watches, the reporter and the optimizer have that; the model's `sources()` is the
same list. A new kind of source is one line here and a field of the model. Without pydantic, since the reporter uses it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]

SIGNATURE = "signature"
METRIC = "metric"
PROGRAM = "program"
INITIAL = "initial"
JOINED = "joined"
NAMES = (SIGNATURE, METRIC, PROGRAM, INITIAL, JOINED)
"""The fields of a spec that hold a source."""
FILES = "program_files"
"""The payload document's field for the files of the program, by their paths. In a spec they are `program.files`."""
METRIC_FUNCTION = "metric"
"""The metric is the function of this name, else the only function. (A signature is the only class of its kind.)"""
MOST_FILES = 64
MOST_FILE_BYTES = 4 * 1024 * 1024
"""What all files of a program take together, as UTF-8."""
_FORMS = ("code", "configMapKeyRef", "payload")


def _mounted(name: str) -> str:
    return f"{name}/value"


DATASET_MOUNTED = _mounted("dataset")
"""As `Source.mounted`, for rows in a ConfigMap."""


@dataclass(frozen=True, slots=True)
class ConfigMapKey:
    """One key of a ConfigMap of the job's namespace."""

    name: str
    key: str


@dataclass(frozen=True, slots=True)
class Source:
    """One source: exactly one of `code`, `config_map_key` and `payload_digest` says where its text is.

    `name` is its field in the payload document, and in the spec too but for files.
    """

    name: str
    code: str | None = None
    config_map_key: ConfigMapKey | None = None
    payload_digest: str | None = None
    file: str | None = None
    """A file's path below the program's folder; None for everything that is no file of the program."""
    place: int = 0
    """A file's place in the list of files."""

    @property
    def path(self) -> str:
        return f"spec.{self.name}" if self.file is None else f"spec.program.files[{self.place}]"

    @property
    def mounted(self) -> str:
        """Where a pod finds the text from a ConfigMap, below the folder for all references of the spec."""
        return _mounted(self.name if self.file is None else f"{self.name}/{self.place}")

    def reference(self) -> Json:
        """The source as in the spec, but without its text."""
        if self.config_map_key is not None:
            return {"configMapKeyRef": {"name": self.config_map_key.name, "key": self.config_map_key.key}}
        return {"payload": {"digest": self.payload_digest}} if self.payload_digest is not None else {}


def sources_of(spec: Json) -> list[Source]:
    return [source for name in NAMES if spec.get(name) is not None for source in _sources(name, spec[name])]


def with_sources(spec: Json, form: Callable[[Source], Json]) -> dict[str, Any]:
    """The same spec with each source replaced by what `form` returns for it: `{}`, code or a reference."""
    return {**spec, **{name: _changed(name, spec[name], form) for name in NAMES if spec.get(name) is not None}}


def _sources(name: str, given: Json) -> Iterator[Source]:
    yield _source(name, given)
    if name == PROGRAM:
        for place, file in enumerate(given.get("files") or ()):
            yield _source(FILES, file, file["path"], place)


def _changed(name: str, given: Json, form: Callable[[Source], Json]) -> Json:
    own, *files = _sources(name, given)
    changed = {**_besides(given), **form(own)}
    if files:
        changed["files"] = [{**_besides(given["files"][file.place]), **form(file)} for file in files]
    return changed


def _besides(given: Json) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in _FORMS}


def _source(name: str, given: Json, file: str | None = None, place: int = 0) -> Source:
    reference, payload = given.get("configMapKeyRef"), given.get("payload")
    return Source(
        name,
        code=given.get("code"),
        config_map_key=ConfigMapKey(reference.get("name", ""), reference.get("key", "")) if reference else None,
        payload_digest=payload.get("digest", "") if payload else None,
        file=file,
        place=place,
    )
