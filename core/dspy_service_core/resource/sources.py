"""The Python sources that a job carries: the one list of them, which all parts go through.

It is read off a spec's JSON, which is what watches, the reporter and the optimizer hold; the model's `sources()` is the
same list. A new kind of source is a line here and a field of the model. Free of pydantic: the reporter reads it too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]

SIGNATURE = "signature"
METRIC = "metric"
NAMES = (SIGNATURE, METRIC)
"""Fields of a spec that hold a source each."""
METRIC_FUNCTION = "metric"
"""The function of that name is the metric, else the only one; a signature is the only class of its kind."""
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
    """One text: exactly one of `code`, `config_map_key` and `payload_digest` says where it is.

    `name` is its field of the spec, and what it is called in the payload's document.
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
        """Where a pod finds its ConfigMap's key, below the folder of all that the spec refers to."""
        return _mounted(self.name)

    def reference(self) -> Json:
        """As the spec holds it, but for the text."""
        if self.config_map_key is not None:
            return {"configMapKeyRef": {"name": self.config_map_key.name, "key": self.config_map_key.key}}
        return {"payload": {"digest": self.payload_digest}} if self.payload_digest is not None else {}


def sources_of(spec: Json) -> list[Source]:
    return [_source(name, spec[name]) for name in NAMES if spec.get(name) is not None]


def with_sources(spec: Json, form: Callable[[Source], Json]) -> dict[str, Any]:
    """The same spec, each of its sources in the form that is returned for it: `{}`, or one of code and references."""
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
