"""`KubeClient` in memory, as far as the node and its controllers use it: for their tests, without an API server."""

import asyncio
import copy
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from dspy_service_core.kube import errors
from dspy_service_core.kube.protocol import Object, ObjectList, PatchType, WatchEvent
from dspy_service_core.kube.resources import PODS, Resource
from dspy_service_local.apiserver.patches import merge

_Key = tuple[str, str]


class FakeKube:
    """Deletes pods as an API server does: one that is bound and runs is marked, and goes with its node's own DELETE."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[_Key, Object]] = {}
        self._log: list[tuple[str, WatchEvent]] = []
        self._news = asyncio.Condition()
        self.patches: list[tuple[str, str]] = []
        self._defects: dict[tuple[str, str], int] = {}

    def fail(self, method: str, resource: Resource, times: int = 1) -> None:
        """As a defect would: with an error that nobody is prepared for."""
        self._defects[method, resource.plural] = times

    def failing(self, method: str, resource: Resource) -> bool:
        """Whether a failure that was asked for is still to come."""
        return self._defects.get((method, resource.plural), 0) > 0

    def _fail(self, method: str, resource: Resource) -> None:
        if self.failing(method, resource):
            self._defects[method, resource.plural] -= 1
            raise RuntimeError(f"a defect in {method} of {resource.plural}")

    def add(self, resource: Resource, obj: Object) -> Object:
        """What is there from the beginning."""
        metadata = obj.setdefault("metadata", {})
        metadata.setdefault("namespace", "default")
        metadata.setdefault("uid", str(uuid.uuid4()))
        metadata.setdefault("creationTimestamp", _now())
        self._store(resource, obj, "ADDED")
        return copy.deepcopy(obj)

    def find(self, resource: Resource, name: str, namespace: str = "default") -> Object | None:
        obj = self._objects.get(resource.plural, {}).get((namespace, name))
        return copy.deepcopy(obj) if obj else None

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        return copy.deepcopy(self._existing(resource, name, namespace))

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
        objects = self._objects.get(resource.plural, {}).values()
        wanted = dict(part.split("=", 1) for part in label_selector.split(",") if part)
        items = [o for o in objects if wanted.items() <= (o["metadata"].get("labels") or {}).items()]
        return ObjectList(copy.deepcopy(items), str(len(self._log)))

    async def create(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
        self._fail("create", resource)
        obj = copy.deepcopy(body)
        obj["metadata"]["namespace"] = namespace or obj["metadata"].get("namespace", "default")
        if self.find(resource, obj["metadata"]["name"], obj["metadata"]["namespace"]):
            raise errors.AlreadyExists(f"{obj['metadata']['name']} already exists")
        return self.add(resource, obj)

    async def replace(
        self, resource: Resource, name: str, body: Object, namespace: str | None = None, *, subresource: str = ""
    ) -> Object:
        self._existing(resource, name, namespace)
        self._store(resource, copy.deepcopy(body), "MODIFIED")
        return copy.deepcopy(body)

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
        assert isinstance(body, dict)
        assert patch_type == "merge"
        self._fail("patch", resource)
        self.patches.append((resource.plural, subresource))
        known = self._existing(resource, name, namespace)
        part = {"status": body["status"]} if subresource == "status" else body
        obj = merge(known, copy.deepcopy(part))
        if obj != known:
            self._store(resource, obj, "MODIFIED")
        return copy.deepcopy(obj)

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
        obj = copy.deepcopy(self._existing(resource, name, namespace))
        if uid and obj["metadata"]["uid"] != uid:
            raise errors.Conflict("the UID in the precondition is another")
        grace = self._grace(resource, obj, grace_period_seconds)
        if grace:
            obj["metadata"] |= {"deletionTimestamp": _now(), "deletionGracePeriodSeconds": grace}
            self._store(resource, obj, "MODIFIED")
            return
        del self._objects[resource.plural][_key(obj)]
        self._tell(resource, obj, "DELETED")
        for dependent in self._dependents(obj):
            await self.delete(PODS, dependent["metadata"]["name"], dependent["metadata"]["namespace"])

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
        position = int(resource_version)
        while True:
            async with self._news:
                while len(self._log) <= position:
                    await self._news.wait()
            while position < len(self._log):
                plural, event = self._log[position]
                position += 1
                if plural == resource.plural:
                    self._fail("watch", resource)
                    yield copy.deepcopy(event)

    async def read_log(self, pod: str, namespace: str, *, container: str = "", tail_lines: int | None = None) -> bytes:
        raise errors.NotFound("no logs here")

    async def close(self) -> None:
        return

    def _existing(self, resource: Resource, name: str, namespace: str | None) -> Object:
        obj = self._objects.get(resource.plural, {}).get((namespace or "default", name))
        if obj is None:
            raise errors.NotFound(f'{resource.plural} "{name}" not found')
        return obj

    def _store(self, resource: Resource, obj: Object, change: Literal["ADDED", "MODIFIED"]) -> None:
        obj["metadata"]["resourceVersion"] = str(len(self._log) + 1)
        self._objects.setdefault(resource.plural, {})[_key(obj)] = obj
        self._tell(resource, obj, change)

    def _tell(self, resource: Resource, obj: Object, change: Literal["ADDED", "MODIFIED", "DELETED"]) -> None:
        obj["metadata"]["resourceVersion"] = str(len(self._log) + 1)
        self._log.append((resource.plural, WatchEvent(change, copy.deepcopy(obj))))
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._wakeup = loop.create_task(self._notify())

    async def _notify(self) -> None:
        async with self._news:
            self._news.notify_all()

    def _grace(self, resource: Resource, obj: Object, asked: int | None) -> int:
        if resource != PODS or not obj["spec"].get("nodeName"):
            return 0
        if (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            return 0
        return int(obj["spec"].get("terminationGracePeriodSeconds", 30) if asked is None else asked)

    def _dependents(self, owner: Object) -> "list[Object]":
        pods = self._objects.get(PODS.plural, {}).values()
        uid = owner["metadata"]["uid"]
        return [p for p in pods if any(r["uid"] == uid for r in p["metadata"].get("ownerReferences") or ())]


def _key(obj: Object) -> _Key:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
