"""The embedded API server in the test's own loop, behind a transport with faults to order."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import yaml

from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.protocol import Object
from dspy_service_core.kube.resources import Resource
from dspy_service_local.apiserver import Cluster
from dspy_service_local.apiserver.kinds.definitions import kind_of
from dspy_service_local.apiserver.kinds.kinds import Kind
from dspy_service_local.apiserver.objects import objects
from dspy_service_local.apiserver.objects.operations import Options
from dspy_service_local.apiserver.objects.patches import merge
from dspy_service_local.apiserver.storage.rows import Key
from dspy_service_local.apiserver.storage.selectors import Selection
from embedded_cluster import CRDS
from faulty_transport import FaultyTransport


class FaultyCluster:
    """`client` is for what is under test. What the test itself does goes past the faults, and takes effect at once."""

    def __init__(self, server: Cluster) -> None:
        self.server = server
        self.transport = FaultyTransport(server.transport)
        self.client = KubeClient(self.transport)

    def add(self, resource: Resource, obj: Object, namespace: str = "default") -> Object:
        """With the status that it has, whoever may write that."""
        kind, operations = self._kind(resource), self.server.operations
        admitted = operations.create(kind, _place(resource, namespace), _copied(obj), Options(dry_run=True))
        status = {"status": obj["status"]} if "status" in obj else {}
        return self.put(resource, orjson.loads(admitted.body) | status)

    def put(self, resource: Resource, obj: Object) -> Object:
        """As it is, past all checks."""
        kind, storage = self._kind(resource), self.server.operations.storage
        metadata = obj["metadata"] | {"resourceVersion": str(storage.next_revision())}
        made = obj | {"metadata": metadata}
        key = Key(kind.id, metadata.get("namespace", ""), metadata["name"])
        body, facets, owners = orjson.dumps(made), objects.facets(kind, made), objects.owners(metadata)
        if row := storage.get(key):
            storage.update(row, body, facets, owners, "deletionTimestamp" in metadata)
        else:
            storage.insert(key, metadata["uid"], body, facets, owners)
        return made

    def change(self, resource: Resource, name: str, patch: Object, namespace: str = "default") -> Object:
        """A merge patch, of the status where that is what it names."""
        options = Options(subresource="status" if list(patch) == ["status"] else "", patches=True)
        kind, place = self._kind(resource), _place(resource, namespace)
        written = self.server.operations.update(kind, place, name, lambda old: merge(old, patch), options)
        made: Object = orjson.loads(written.body)
        return made

    def remove(self, resource: Resource, name: str, namespace: str = "default") -> Object:
        """At once, whatever its finalizers say."""
        kind, operations = self._kind(resource), self.server.operations
        row = operations.read(kind, _place(resource, namespace), name)
        obj: Object = orjson.loads(row.body)
        operations.remove(kind, row, obj)
        return obj

    def find(self, resource: Resource, name: str, namespace: str = "default") -> Object | None:
        row = self.server.operations.storage.get(Key(self._kind(resource).id, _place(resource, namespace), name))
        return orjson.loads(row.body) if row else None

    def all(self, resource: Resource) -> list[Object]:
        reader = self.server.operations.storage.reader()
        return [orjson.loads(row.body) for row in reader.page(self._kind(resource).id, Selection(), ("", ""), -1)]

    def leave_garbage(self) -> None:
        """From here on nothing is collected, as while the cluster's controllers are down."""
        assert self.server._work is not None
        self.server._work.cancel()

    def _kind(self, resource: Resource) -> Kind:
        kind = self.server.kinds.of(resource)
        assert kind is not None, resource
        return kind


def _place(resource: Resource, namespace: str) -> str:
    return namespace if resource.namespaced else ""


def _copied(obj: Object) -> Any:
    return orjson.loads(orjson.dumps(obj))


@asynccontextmanager
async def faulty_cluster(folder: Path) -> AsyncIterator[FaultyCluster]:
    """With our own kinds."""
    server = await Cluster.open(folder)
    for kind in _own_kinds():
        server.kinds.add(kind)
    try:
        yield FaultyCluster(server)
    finally:
        await server.close()


@cache
def _own_kinds() -> tuple[Kind, ...]:
    """Read once a test run, because the compiling of their rules takes longer than most tests."""
    return tuple(kind_of(_definition(path)) for path in sorted(CRDS.glob("*.yaml")))


def _definition(path: Path) -> Any:
    return yaml.safe_load(path.read_text())
