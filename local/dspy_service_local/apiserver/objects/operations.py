"""The verbs on objects, the same for HTTP and in process: read, check, write, without giving up the event loop.

Because nothing is awaited between reading an object and writing it, no two writes can interleave: optimistic
concurrency is only about what clients knew. Callers await `storage.committed()` before they answer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import orjson

from dspy_service_core import nesting
from dspy_service_core.kube.protocol import Object
from dspy_service_core.kube.resources import CUSTOM_RESOURCE_DEFINITIONS, NAMESPACES
from dspy_service_local.apiserver import refusals
from dspy_service_local.apiserver.kinds.definitions import kind_of
from dspy_service_local.apiserver.kinds.kinds import Kind, Kinds
from dspy_service_local.apiserver.objects import apply, objects, updates
from dspy_service_local.apiserver.storage.rows import Key, Row
from dspy_service_local.apiserver.storage.storage import Storage

_NAME_DRAWS = 8

Guard = Callable[[Object, Object], None]
"""Raises where the caller may not make this change (old, new)."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a write's query parameters say."""

    dry_run: bool = False
    field_manager: str = ""
    field_validation: str = "Warn"
    applies: bool = False
    """The change is a server-side apply, which has set managedFields itself."""
    patches: bool = False
    """The change is a patch of any kind, not a whole object."""
    subresource: str = ""
    guard: Guard | None = None


@dataclass(slots=True)
class Written:
    body: bytes
    created: bool = False
    warnings: list[str] = field(default_factory=list)


class Operations:
    """`clock` gives the time of day, `monotonic` seconds for time-outs."""

    def __init__(
        self, storage: Storage, kinds: Kinds, clock: Callable[[], datetime], monotonic: Callable[[], float]
    ) -> None:
        self.storage = storage
        self.kinds = kinds
        self.clock = clock
        self.monotonic = monotonic

    def now(self) -> str:
        return objects.timestamp(self.clock())

    def read(self, kind: Kind, namespace: str, name: str) -> Row:
        row = self.storage.get(Key(kind.id, namespace, name))
        if row is None:
            raise refusals.not_found(kind.resource, name)
        return row

    def create(self, kind: Kind, namespace: str, body: object, options: Options = Options()) -> Written:
        obj = objects.checked_body(kind, body)
        metadata = obj["metadata"]
        objects.place(metadata, kind.resource.namespaced, namespace)
        self._require_namespace(kind, namespace, metadata.get("name") or metadata.get("generateName", ""))
        if metadata.get("resourceVersion"):
            raise refusals.bad_request("resourceVersion should not be set on objects to be created")
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = self._unused_name(kind, namespace, str(metadata["generateName"]))
        if problems := objects.name_problems(kind, metadata):
            raise refusals.invalid(kind.resource, str(metadata.get("name", "")), problems)
        key = Key(kind.id, namespace, metadata["name"])
        if self.storage.get(key) is not None:
            raise refusals.already_exists(kind.resource, key.name)
        if not options.applies:
            metadata.pop("managedFields", None)
        objects.born(metadata, self.now(), counts_generation=kind.counts_generation)
        if kind.has_status and kind.custom:
            obj.pop("status", None)
        kind.prepare(obj, self.now())
        warnings = self._admit(kind, obj, None, options)
        return Written(self._insert(kind, key, obj, options), created=True, warnings=warnings)

    def update(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        change: Callable[[Object], object],
        options: Options = Options(),
    ) -> Written:
        """`change` makes the new object from the old one, which it must leave as it is."""
        row = self.read(kind, namespace, name)
        old = nesting.loads(row.body)
        new = objects.checked_body(kind, change(old))
        objects.place(new["metadata"], kind.resource.namespaced, namespace, name)
        updates.require_known(kind, new["metadata"], old["metadata"], patches=options.patches)
        new = updates.within_subresource(kind, new, old, options.subresource, options.applies)
        if "deletionTimestamp" in old["metadata"] and kind.resource == NAMESPACES and options.subresource == "":
            new["spec"] = old.get("spec", {})
        warnings = self._admit(kind, new, old, options)
        if options.guard is not None:
            options.guard(old, new)
        if kind.counts_generation and updates.spec_differs(new, old):
            new["metadata"]["generation"] = int(old["metadata"].get("generation", 0)) + 1
        if "managedFields" in new["metadata"] and not options.applies:
            apply.note_update(kind, new, old, options.field_manager, options.subresource, self.now())
        return Written(self._store(kind, row, new, old, options), warnings=warnings)

    def mark_deleted(self, kind: Kind, row: Row, obj: Object, grace: int, finalizers: Sequence[str]) -> bytes:
        """Begins a deletion that something has to finish: finalizers, a namespace's contents or a pod's node."""
        metadata = dict(obj["metadata"])
        metadata.setdefault("deletionTimestamp", self._later(grace))
        metadata["deletionGracePeriodSeconds"] = min(grace, metadata.get("deletionGracePeriodSeconds", grace))
        metadata["finalizers"] = list(finalizers)
        if not finalizers:
            del metadata["finalizers"]
        if kind.counts_generation and "deletionTimestamp" not in obj["metadata"]:
            metadata["generation"] = int(metadata.get("generation", 0)) + 1
        new = obj | {"metadata": metadata}
        if kind.resource == NAMESPACES:
            new["status"] = (obj.get("status") or {}) | {"phase": "Terminating"}
        return self._store(kind, row, new, obj, Options())

    def remove(self, kind: Kind, row: Row, obj: Object) -> bytes:
        return self._remove(kind, row, obj)

    def _later(self, seconds: int) -> str:
        return objects.timestamp(datetime.fromtimestamp(self.clock().timestamp() + seconds, self.clock().tzinfo))

    def _unused_name(self, kind: Kind, namespace: str, prefix: str) -> str:
        """As the real server: a generated name that is taken is drawn again, a few times."""
        for _ in range(_NAME_DRAWS):
            name = objects.generated_name(prefix)
            if self.storage.get(Key(kind.id, namespace, name)) is None:
                break
        return name

    def _require_namespace(self, kind: Kind, namespace: str, name: str) -> None:
        if not kind.resource.namespaced:
            return
        row = self.storage.get(Key("namespaces", "", namespace))
        if row is None:
            raise refusals.not_found(NAMESPACES, namespace)
        if b'"deletionTimestamp"' in row.body and "deletionTimestamp" in orjson.loads(row.body)["metadata"]:
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise refusals.forbidden(kind.resource, name, why)

    def _admit(self, kind: Kind, obj: Object, old: Object | None, options: Options) -> list[str]:
        metadata = obj["metadata"]
        unknown = kind.admission.prune(obj, old)
        if unknown and options.field_validation == "Strict":
            listed = ", ".join(f'unknown field "{path}"' for path in unknown)
            raise refusals.bad_request(
                f'{kind.resource.kind} in version "{kind.resource.version}" cannot be handled as'
                f" a {kind.resource.kind}: strict decoding error: {listed}"
            )
        kind.admission.default(obj, old)
        problems = objects.metadata_problems(metadata, old["metadata"] if old else None)
        problems += kind.admission.problems(obj, old)
        if problems:
            raise refusals.invalid(kind.resource, str(metadata["name"]), problems)
        return [f'unknown field "{path}"' for path in unknown] if options.field_validation == "Warn" else []

    def _insert(self, kind: Kind, key: Key, obj: Object, options: Options) -> bytes:
        if options.dry_run:
            return orjson.dumps(obj)
        metadata = obj["metadata"]
        metadata["resourceVersion"] = str(self.storage.next_revision())
        body = updates.dumped(kind, obj)
        self.storage.insert(key, metadata["uid"], body, objects.facets(kind, obj), objects.owners(metadata))
        self._follow_definition(kind, obj)
        return body

    def _store(self, kind: Kind, row: Row, new: Object, old: Object, options: Options) -> bytes:
        if new == old:
            return row.body
        if options.dry_run:
            return orjson.dumps(new)
        if updates.is_done(new):
            return self._remove(kind, row, new)
        metadata = new["metadata"] = new["metadata"] | {"resourceVersion": str(self.storage.next_revision())}
        body = updates.dumped(kind, new)
        same_owners = metadata.get("ownerReferences") == old["metadata"].get("ownerReferences")
        owners = None if same_owners else objects.owners(metadata)
        self.storage.update(row, body, objects.facets(kind, new), owners, "deletionTimestamp" in metadata)
        self._follow_definition(kind, new)
        return body

    def _remove(self, kind: Kind, row: Row, obj: Object) -> bytes:
        last = obj | {"metadata": obj["metadata"] | {"resourceVersion": str(self.storage.next_revision())}}
        body = updates.dumped(kind, last)
        self.storage.delete(row, body)
        if kind.resource == CUSTOM_RESOURCE_DEFINITIONS:
            self.kinds.remove(obj["metadata"]["name"])
        return body

    def _follow_definition(self, kind: Kind, obj: Object) -> None:
        if kind.resource == CUSTOM_RESOURCE_DEFINITIONS:
            self.kinds.add(kind_of(obj))
