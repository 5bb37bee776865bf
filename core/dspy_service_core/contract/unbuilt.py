"""Keys that the contract knows but this version does not support. They are refused and not ignored, because a client
that names an image, for example, relies on it.

The commit that builds such a feature removes its keys here. Keys that the contract does not know are accepted, because
existing clients send some, and reported (`RunRequest.unknown_fields`).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from dspy_service_core.errors import FieldProblem

RUN_OPTIONS = frozenset({"image", "resources", "queue", "webhooks"})
DATASET = frozenset({"id", "uri"})

_MESSAGE = "This version of the service does not have it yet: leave it out"
_KIND = "not_built"


def problems(document: Mapping[str, Any]) -> list[FieldProblem]:
    return [FieldProblem(path, _MESSAGE, _KIND) for path in _paths(document)]


def _paths(document: Mapping[str, Any]) -> Iterator[str]:
    yield from _below(document, "run_options", RUN_OPTIONS)
    yield from _below(document, "dataset", DATASET)


def _below(document: Mapping[str, Any], name: str, unbuilt: frozenset[str]) -> Iterator[str]:
    value = document.get(name)
    if isinstance(value, dict):
        yield from (f"{name}.{key}" for key in sorted(unbuilt & value.keys()))
