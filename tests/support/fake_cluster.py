"""An API server in memory: as much of `KubeClient` as the API uses, with faults to order."""

import asyncio
import copy
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from dspy_service_core.kube import errors
from dspy_service_core.kube.protocol import Object, ObjectList, PatchType, WatchEvent
from dspy_service_core.kube.resources import Resource
from dspy_service_local.apiserver.patches import merge

Fault = Callable[[str, str], BaseException | None]


class FakeCluster:
    """`fault(verb, plural)` may raise by returning an error; `after_create` runs once a create has taken effect."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.calls: list[tuple[str, str, str]] = []
        self.fault: Fault = lambda verb, plural: None
        self.fault_after: Fault = lambda verb, plural: None
        self.closed = False
        self._version = 100
        self._watches: list[tuple[str, asyncio.Queue[WatchEvent]]] = []

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        self._called("get", resource, name)
        return copy.deepcopy(self._found(resource, name, namespace))

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        continue_token: str = "",
        resource_version: str = "",
    ) -> ObjectList:
        self._called("list", resource, "")
        items = [copy.deepcopy(o) for (plural, _, _), o in self.objects.items() if plural == resource.plural]
        return ObjectList(items, str(self._version))

    async def create(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
        name = body["metadata"]["name"]
        self._called("create", resource, name)
        key = (resource.plural, namespace or "", name)
        if key in self.objects:
            raise errors.AlreadyExists(f'{resource.plural} "{name}" already exists')
        created = copy.deepcopy(body)
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        created["metadata"] |= {
            "namespace": namespace,
            "uid": str(uuid.uuid4()),
            "generation": 1,
            "creationTimestamp": now,
        }
        self._store(key, created, "ADDED")
        if fault := self.fault_after("create", resource.plural):
            raise fault
        return copy.deepcopy(created)

    async def replace(
        self, resource: Resource, name: str, body: Object, namespace: str | None = None, *, subresource: str = ""
    ) -> Object:
        self._called("replace", resource, name)
        self._found(resource, name, namespace)
        return self._store((resource.plural, namespace or "", name), copy.deepcopy(body), "MODIFIED")

    async def patch(
        self,
        resource: Resource,
        name: str,
        body: Object | Sequence[Mapping[str, Any]],
        namespace: str | None = None,
        *,
        subresource: str = "",
        patch_type: PatchType = "merge",
        field_manager: str = "",
        force: bool = False,
    ) -> Object:
        self._called("patch", resource, name)
        found = self._found(resource, name, namespace)
        key, changed = (resource.plural, namespace or "", name), merge(found, body)
        if found["metadata"].get("deletionTimestamp") and not changed["metadata"].get("finalizers"):
            del self.objects[key]
            self._tell(resource.plural, WatchEvent("DELETED", changed))
            return dict(changed)
        return self._store(key, changed, "MODIFIED")

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        propagation: Literal["Background", "Foreground", "Orphan"] = "Background",
        grace_period_seconds: int | None = None,
        uid: str = "",
    ) -> None:
        self._called("delete", resource, name)
        found = self._found(resource, name, namespace)
        if uid and uid != found["metadata"]["uid"]:
            raise errors.Conflict("the UID in the precondition does not match")
        if found["metadata"].get("finalizers"):
            now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            going = merge({"metadata": {"deletionTimestamp": now}}, found)
            self._store((resource.plural, namespace or "", name), going, "MODIFIED")
            return
        del self.objects[(resource.plural, namespace or "", name)]
        self._tell(resource.plural, WatchEvent("DELETED", found))

    async def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int = 0,
    ) -> AsyncIterator[WatchEvent]:
        self._called("watch", resource, "")
        queue: asyncio.Queue[WatchEvent] = asyncio.Queue()
        self._watches.append((resource.plural, queue))
        while True:
            yield await queue.get()

    async def read_log(self, pod: str, namespace: str, *, container: str = "", tail_lines: int | None = None) -> bytes:
        raise errors.NotFound(f'pods "{pod}" not found')

    async def close(self) -> None:
        self.closed = True

    def _called(self, verb: str, resource: Resource, name: str) -> None:
        self.calls.append((verb, resource.plural, name))
        if fault := self.fault(verb, resource.plural):
            raise fault

    def _found(self, resource: Resource, name: str, namespace: str | None) -> Object:
        try:
            return self.objects[(resource.plural, namespace or "", name)]
        except KeyError:
            raise errors.NotFound(f'{resource.plural} "{name}" not found') from None

    def _store(self, key: tuple[str, str, str], obj: Object, event: Literal["ADDED", "MODIFIED"]) -> Object:
        self._version += 1
        obj["metadata"]["resourceVersion"] = str(self._version)
        self.objects[key] = obj
        self._tell(key[0], WatchEvent(event, copy.deepcopy(obj)))
        return copy.deepcopy(obj)

    def _tell(self, plural: str, event: WatchEvent) -> None:
        for watched, queue in self._watches:
            if watched == plural:
                queue.put_nowait(event)
