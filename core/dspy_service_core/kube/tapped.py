"""A client that asks or tells somebody before each request: to count requests, or to forbid them.

`tap(verb, resource)` gets Kubernetes' own words, as RBAC and audit logs have them (`patch`, `optimizationjobs/status`).
What it raises, the request raises.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Literal

from dspy_service_core.kube.protocol import KubeClient, Object, ObjectList, PatchType, WatchEvent
from dspy_service_core.kube.resources import PODS, Resource

Tap = Callable[[str, str], None]


class TappedClient:
    def __init__(self, client: KubeClient, tap: Tap) -> None:
        self._client = client
        self._tap = tap

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        self._tap("get", resource.plural)
        return await self._client.get(resource, name, namespace)

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
        self._tap("list", resource.plural)
        return await self._client.list(
            resource,
            namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            limit=limit,
            continue_token=continue_token,
            resource_version=resource_version,
        )

    async def create(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
        self._tap("create", resource.plural)
        return await self._client.create(resource, body, namespace)

    async def replace(
        self, resource: Resource, name: str, body: Object, namespace: str | None = None, *, subresource: str = ""
    ) -> Object:
        self._tap("update", _with(resource, subresource))
        return await self._client.replace(resource, name, body, namespace, subresource=subresource)

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
        self._tap("patch", _with(resource, subresource))
        return await self._client.patch(
            resource,
            name,
            body,
            namespace,
            subresource=subresource,
            patch_type=patch_type,
            field_manager=field_manager,
            force=force,
        )

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
        self._tap("delete", resource.plural)
        await self._client.delete(
            resource, name, namespace, propagation=propagation, grace_period_seconds=grace_period_seconds, uid=uid
        )

    def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int = 0,
    ) -> AsyncIterator[WatchEvent]:
        self._tap("watch", resource.plural)
        return self._client.watch(
            resource,
            namespace,
            resource_version=resource_version,
            label_selector=label_selector,
            field_selector=field_selector,
            timeout_seconds=timeout_seconds,
        )

    async def read_log(self, pod: str, namespace: str, *, container: str = "", tail_lines: int | None = None) -> bytes:
        self._tap("get", _with(PODS, "log"))
        return await self._client.read_log(pod, namespace, container=container, tail_lines=tail_lines)

    async def close(self) -> None:
        await self._client.close()


def _with(resource: Resource, subresource: str) -> str:
    return f"{resource.plural}/{subresource}" if subresource else resource.plural
