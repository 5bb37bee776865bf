"""The list of Python sources that a job carries; all parts use this one.

It is made from a spec's JSON, because watches, the reporter and the optimizer have that; the model's `sources()` is the
same list. A new kind of source is one line here and a field of the model. Without pydantic, since the reporter uses it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]

SIGNATURE = "signature"
METRIC = "metric"
NAMES = (SIGNATURE, METRIC)
"""The fields of a spec that hold a source."""
METRIC_FUNCTION = "metric"
"""The metric is the function of this name, else the only function. (A signature is the only class of its kind.)"""
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

    `name` is its field in the spec and in the payload document.
    """

    name: str
    code: str | None = None
    config_map_key: ConfigMapKey | None = None
    payload_digest: str | None = None

    @property
    def path(self) -> str:
        return f"spec.{self.name}"

    @property
    def mounted(self) -> str:
        """Where a pod finds the text from a ConfigMap, below the folder for all references of the spec."""
        return _mounted(self.name)

    def reference(self) -> Json:
        """The source as in the spec, but without its text."""
        if self.config_map_key is not None:
            return {"configMapKeyRef": {"name": self.config_map_key.name, "key": self.config_map_key.key}}
        return {"payload": {"digest": self.payload_digest}} if self.payload_digest is not None else {}


def sources_of(spec: Json) -> list[Source]:
    return [_source(name, spec[name]) for name in NAMES if spec.get(name) is not None]


def with_sources(spec: Json, form: Callable[[Source], Json]) -> dict[str, Any]:
    """The same spec with each source replaced by what `form` returns for it: `{}`, code or a reference."""
    changed = {source.name: {**_besides(spec[source.name]), **form(source)} for source in sources_of(spec)}
    return {**spec, **changed}


def _besides(given: Json) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in _FORMS}


def _source(name: str, given: Json) -> Source:
    reference, payload = given.get("configMapKeyRef"), given.get("payload")
    return Source(
        name,
        code=given.get("code"),
        config_map_key=ConfigMapKey(reference.get("name", ""), reference.get("key", "")) if reference else None,
        payload_digest=payload.get("digest", "") if payload else None,
    )
