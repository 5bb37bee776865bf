"""The kinds that are served: what `operations`, discovery, tables and OpenAPI need to know of each.

Built-in ones are listed in `builtins`, custom ones are made from their definitions by `definitions`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from dspy_service_core.kube.protocol import Object
from dspy_service_core.kube.resources import Resource
from dspy_service_local.apiserver.admission.schema_nodes import Node
from dspy_service_local.apiserver.refusals import Problem, qualified

Propagation = Literal["Background", "Foreground", "Orphan"]


@dataclass(frozen=True, slots=True)
class Column:
    """A printer column; `path` is a simple JSONPath such as `.status.phase`, or a function of the object."""

    name: str
    path: str | Callable[[Object], object]
    type: str = "string"
    format: str = ""
    description: str = ""
    priority: int = 0


class Admission(Protocol):
    """What stands between a body and its storage. Bodies are changed in place, the old object never."""

    root: Node

    def prune(self, obj: Object, old: Object | None) -> list[str]:
        """Takes unknown fields out and returns their paths."""
        ...

    def default(self, obj: Object, old: Object | None) -> None: ...

    def problems(self, obj: Object, old: Object | None) -> list[Problem]: ...


def _leave(obj: Object, now: str) -> None:
    """Most kinds are stored as they come."""


def _at_once(obj: Object, seconds: int | None) -> int:
    return 0


@dataclass(frozen=True, slots=True)
class Kind:
    resource: Resource
    singular: str
    admission: Admission
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    selectable: tuple[str, ...] = ()
    """Paths besides metadata.name and metadata.namespace that field selectors may name, such as `status.phase`."""
    openapi: Mapping[str, Any] = field(default_factory=dict)
    list_kind: str = ""
    custom: bool = False
    counts_generation: bool = False
    label_names: bool = False
    """Names are DNS labels; otherwise subdomains."""
    propagation: Propagation = "Background"
    """What a DELETE that names none does to dependents."""
    prepare: Callable[[Object, str], None] = _leave
    """Sets what the server owns on a new object; `now` is the second argument."""
    grace: Callable[[Object, int | None], int] = _at_once
    """Seconds between a DELETE and the object's end; the second argument is what the client asked for."""
    answers_deleted: bool = False
    """A DELETE that takes effect at once answers the object rather than a Status."""

    @property
    def id(self) -> str:
        return qualified(self.resource)

    @property
    def plural(self) -> str:
        return self.resource.plural

    @property
    def has_status(self) -> bool:
        return "status" in self.subresources

    @property
    def kind_of_list(self) -> str:
        return self.list_kind or f"{self.resource.kind}List"


class Kinds:
    """All served kinds, found by path or by kind. Grows and shrinks with the definitions."""

    def __init__(self, builtin: tuple[Kind, ...]) -> None:
        self._by_path: dict[tuple[str, str, str], Kind] = {}
        self._by_id: dict[str, Kind] = {}
        self.generation = 0
        """Changes with every addition and removal: what was derived from the kinds is then stale."""
        for kind in builtin:
            self.add(kind)

    def add(self, kind: Kind) -> None:
        if kind.id in self._by_id:
            self.remove(kind.id)
        resource = kind.resource
        self._by_path[resource.group, resource.version, resource.plural] = kind
        self._by_id[kind.id] = kind
        self.generation += 1

    def remove(self, kind_id: str) -> None:
        resource = self._by_id.pop(kind_id).resource
        del self._by_path[resource.group, resource.version, resource.plural]
        self.generation += 1

    def at(self, group: str, version: str, plural: str) -> Kind | None:
        return self._by_path.get((group, version, plural))

    def by_id(self, kind_id: str) -> Kind | None:
        return self._by_id.get(kind_id)

    def of(self, resource: Resource) -> Kind | None:
        return self._by_path.get((resource.group, resource.version, resource.plural))

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._by_id.values())

    def versions(self) -> dict[tuple[str, str], list[Kind]]:
        """Kinds by (group, version), the core group first."""
        found: dict[tuple[str, str], list[Kind]] = {}
        for kind in self:
            found.setdefault((kind.resource.group, kind.resource.version), []).append(kind)
        return dict(sorted(found.items()))
