"""`KubeClient` straight on the operations: what HTTP clients get, for the Job controller and the node."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Literal, cast

import orjson

from dspy_service_core.kube.protocol import Object, ObjectList, PatchType, WatchEvent
from dspy_service_core.kube.resources import PODS, Resource
from dspy_service_local.apiserver import patching, refusals
from dspy_service_local.apiserver.deletion import DeleteOptions, delete
from dspy_service_local.apiserver.kinds import Kind
from dspy_service_local.apiserver.listing import first_page, next_page
from dspy_service_local.apiserver.logs import PodLogs, log_request
from dspy_service_local.apiserver.operations import Operations, Options
from dspy_service_local.apiserver.selectors import Selection, select
from dspy_service_local.apiserver.watch import Hub

_MEDIA: Mapping[PatchType, str] = {"merge": patching.MERGE, "json": patching.JSON, "apply": patching.APPLY}
_BOOKMARK_SECONDS = 45.0
_MANAGER = "dspy-service-cluster"


class InProcessClient:
    def __init__(self, operations: Operations, hub: Hub, logs: "LogsOf") -> None:
        self._operations = operations
        self._hub = hub
        self._logs = logs

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        await self._operations.storage.committed()
        return _object(self._operations.read(self._kind(resource), _in(resource, namespace), name).body)

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
        kind, storage = self._kind(resource), self._operations.storage
        selection = _selection(kind, namespace, label_selector, field_selector)
        await storage.committed()
        if continue_token:
            page = next_page(storage, self._hub, kind, selection, limit, continue_token)
        else:
            page = first_page(storage, kind, selection, limit)
        return ObjectList([_object(row.body) for row in page.rows], str(page.revision), page.continue_token)

    async def create(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
        place = _in(resource, namespace or (body.get("metadata") or {}).get("namespace"))
        return await self._done(self._operations.create(self._kind(resource), place, _copy(body), _options("")).body)

    async def replace(
        self, resource: Resource, name: str, body: Object, namespace: str | None = None, *, subresource: str = ""
    ) -> Object:
        copied = _copy(body)
        written = self._operations.update(
            self._kind(resource), _in(resource, namespace), name, lambda old: copied, _options(subresource)
        )
        return await self._done(written.body)

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
        written = patching.patch(
            self._operations,
            self._kind(resource),
            _in(resource, namespace),
            name,
            _MEDIA[patch_type],
            _copy(body),
            _options(subresource, field_manager),
            force=force,
        )
        return await self._done(written.body)

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
        options = DeleteOptions(propagation, grace_period_seconds, uid)
        delete(self._operations, self._kind(resource), _in(resource, namespace), name, options)
        await self._operations.storage.committed()

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
        kind = self._kind(resource)
        selection = _selection(kind, namespace, label_selector, field_selector)
        subscription = self._hub.subscribe(kind.id, selection, int(resource_version))
        end = self._operations.monotonic() + timeout_seconds if timeout_seconds else float("inf")
        try:
            while (left := end - self._operations.monotonic()) > 0:
                told = await subscription.next(min(left, _BOOKMARK_SECONDS))
                if told is None:
                    return
                if not told:
                    yield WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": str(subscription.bookmark())}})
                for each in told:
                    yield WatchEvent(cast(Literal["ADDED", "MODIFIED", "DELETED"], each.type), _object(each.body))
        finally:
            subscription.close()

    async def read_log(self, pod: str, namespace: str, *, container: str = "", tail_lines: int | None = None) -> bytes:
        query = {"container": container} | ({"tailLines": str(tail_lines)} if tail_lines is not None else {})
        obj = await self.get(PODS, pod, namespace)
        return b"".join([piece async for piece in self._logs.current.read(log_request(obj, query))])

    async def close(self) -> None:
        """The cluster closes what this client uses."""

    def _kind(self, resource: Resource) -> Kind:
        kind = self._operations.kinds.of(resource)
        if kind is None:
            raise refusals.no_such_resource()
        return kind

    async def _done(self, body: bytes) -> Object:
        await self._operations.storage.committed()
        return _object(body)


class LogsOf:
    """Holds the source of pod logs, which the node sets once it runs."""

    def __init__(self, current: PodLogs) -> None:
        self.current = current


def _in(resource: Resource, namespace: str | None) -> str:
    if not resource.namespaced:
        return ""
    if not namespace:
        raise refusals.bad_request(f"{resource.plural} are namespaced: a namespace is required")
    return namespace


def _selection(kind: Kind, namespace: str | None, labels: str, fields: str) -> Selection:
    return select(namespace if kind.resource.namespaced else None, labels, fields, frozenset(kind.selectable))


def _options(subresource: str, manager: str = "") -> Options:
    return Options(subresource=subresource, field_manager=manager or _MANAGER, field_validation="Ignore")


def _object(body: bytes) -> Object:
    made: Object = orjson.loads(body)
    return made


def _copy(body: Any) -> Any:
    """The caller's object must not be changed, and must be JSON."""
    return orjson.loads(orjson.dumps(body))
