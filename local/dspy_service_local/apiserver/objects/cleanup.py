"""What a deletion leaves to do, one step at a time: each is safe to repeat, and done again after a kill."""

from collections.abc import Callable
from datetime import datetime, timedelta

import orjson

from dspy_service_core.kube import errors
from dspy_service_core.kube.protocol import Object
from dspy_service_core.kube.resources import CONFIG_MAPS, EVENTS, NAMESPACES, SERVICE_ACCOUNTS, Resource
from dspy_service_local.apiserver.kinds.definitions import CLEANUP_FINALIZER
from dspy_service_local.apiserver.kinds.kinds import Kind
from dspy_service_local.apiserver.objects.deletion import FOREGROUND, ORPHAN, DeleteOptions, delete
from dspy_service_local.apiserver.objects.operations import Operations, Options
from dspy_service_local.apiserver.storage.rows import Key
from dspy_service_local.apiserver.storage.selectors import Selection

_EVENT_LIFETIME = timedelta(hours=1)
"""As long as a real API server keeps events by default."""
_SLICE = 200
"""Objects handled between two turns of the event loop, which everybody else waits for."""
_ROOT_CA = "kube-root-ca.crt"


class Cleanup:
    """`authority` is the CA's certificate, which every namespace is given as a ConfigMap, as in a real cluster."""

    def __init__(self, operations: Operations, authority: str) -> None:
        self._operations = operations
        self._storage = operations.storage
        self._authority = authority

    def collect(self, owner: str) -> None:
        """Dependents of an object that is gone: each goes too, unless another owner is left."""
        for key in self._storage.dependents(owner):
            row, kind = self._storage.get(key), self._operations.kinds.by_id(key.kind)
            if kind is None or row is None or self._storage.exists(owner):
                continue
            metadata = orjson.loads(row.body)["metadata"]
            if any(self._storage.exists(each["uid"]) for each in metadata["ownerReferences"]):
                self._update(kind, key, _without_owner(owner))
            else:
                self._delete(key, "Background")

    def finish(self, key: Key) -> bool:
        """Carries on the deletion of one object, or furnishes a new namespace. True: there is more to do at once."""
        kind, row = self._operations.kinds.by_id(key.kind), self._storage.get(key)
        if kind is None or row is None:
            return False
        metadata = orjson.loads(row.body)["metadata"]
        if "deletionTimestamp" not in metadata:
            if kind.resource == NAMESPACES:
                self._furnish(key.name)
            return False
        more = False
        for finalizer in metadata.get("finalizers") or ():
            if finalizer == ORPHAN:
                self._orphan(kind, key, metadata["uid"])
            elif finalizer == FOREGROUND:
                self._foreground(kind, key, metadata["uid"])
            elif finalizer == CLEANUP_FINALIZER:
                more = self._empty_definition(kind, key)
        return self._empty_namespace(kind, key) if kind.resource == NAMESPACES else more

    def expire_events(self, after: tuple[str, str]) -> tuple[str, str] | None:
        """One slice of them; answers where the next begins, None at the end."""
        oldest = self._operations.clock() - _EVENT_LIFETIME
        rows = self._storage.reader().page(self._kind(EVENTS).id, Selection(), after, _SLICE)
        for row in rows:
            if _last_seen(orjson.loads(row.body)) < oldest:
                self._delete(row.key, "Background")
        return (rows[-1].key.namespace, rows[-1].key.name) if len(rows) == _SLICE else None

    def _furnish(self, namespace: str) -> None:
        for resource, body in (
            (SERVICE_ACCOUNTS, {"metadata": {"name": "default"}}),
            (CONFIG_MAPS, {"metadata": {"name": _ROOT_CA}, "data": {"ca.crt": self._authority}}),
        ):
            kind = self._kind(resource)
            if self._storage.get(Key(kind.id, namespace, body["metadata"]["name"])) is None:
                self._operations.create(kind, namespace, body)

    def _orphan(self, kind: Kind, key: Key, uid: str) -> None:
        for dependent in self._storage.dependents(uid):
            dependent_kind = self._operations.kinds.by_id(dependent.kind)
            if dependent_kind is not None:
                self._update(dependent_kind, dependent, _without_owner(uid))
        self._update(kind, key, _without_finalizer(ORPHAN))

    def _foreground(self, kind: Kind, key: Key, uid: str) -> None:
        """The owner waits for the dependents that say so; the end of each brings it here again."""
        for dependent in self._storage.dependents(uid):
            self._delete(dependent, "Foreground")
        if not any(self._blocks(dependent, uid) for dependent in self._storage.dependents(uid)):
            self._update(kind, key, _without_finalizer(FOREGROUND))

    def _blocks(self, dependent: Key, uid: str) -> bool:
        row = self._storage.get(dependent)
        owners = orjson.loads(row.body)["metadata"].get("ownerReferences") if row else None
        return any(owner["uid"] == uid and owner.get("blockOwnerDeletion") for owner in owners or ())

    def _empty_namespace(self, kind: Kind, key: Key) -> bool:
        living = self._storage.living(namespace=key.name, limit=_SLICE)
        for held in living:
            self._delete(held, "Background")
        if self._storage.is_empty(namespace=key.name):
            self._update(kind, key, lambda old: old | {"spec": {}}, subresource="finalize")
        return len(living) == _SLICE

    def _empty_definition(self, kind: Kind, key: Key) -> bool:
        living = self._storage.living(kind=key.name, limit=_SLICE)
        for held in living:
            self._delete(held, "Background")
        if self._storage.is_empty(kind=key.name):
            self._update(kind, key, _without_finalizer(CLEANUP_FINALIZER))
        return len(living) == _SLICE

    def _delete(self, key: Key, propagation: str) -> None:
        """Nothing to do where the deletion has begun."""
        kind, row = self._operations.kinds.by_id(key.kind), self._storage.get(key)
        if kind is not None and row is not None and "deletionTimestamp" not in orjson.loads(row.body)["metadata"]:
            options = DeleteOptions("Foreground" if propagation == "Foreground" else "Background")
            delete(self._operations, kind, key.namespace, key.name, options)

    def _update(self, kind: Kind, key: Key, change: Callable[[Object], Object], subresource: str = "") -> None:
        try:
            self._operations.update(kind, key.namespace, key.name, change, Options(subresource=subresource))
        except errors.NotFound:
            return

    def _kind(self, resource: Resource) -> Kind:
        kind = self._operations.kinds.of(resource)
        assert kind is not None, resource
        return kind


def _without_finalizer(finalizer: str) -> Callable[[Object], Object]:
    return lambda old: _with_metadata(
        old, finalizers=[item for item in old["metadata"].get("finalizers") or () if item != finalizer]
    )


def _without_owner(uid: str) -> Callable[[Object], Object]:
    return lambda old: _with_metadata(
        old, ownerReferences=[each for each in old["metadata"].get("ownerReferences") or () if each["uid"] != uid]
    )


def _with_metadata(obj: Object, **changed: object) -> Object:
    return obj | {"metadata": obj["metadata"] | changed}


def _last_seen(event: Object) -> datetime:
    text = event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"]
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return datetime.fromisoformat(event["metadata"]["creationTimestamp"])
