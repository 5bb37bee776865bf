"""What our code asks of a Kubernetes API server; implemented over HTTP and, in the embedded cluster, in process.

Objects are plain dicts exactly as the API server sends them: this is the Kubernetes edge, models begin behind it.
Every method raises the errors of `kube.errors` and nothing else.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from dspy_service_core.kube.resources import Resource

Object = dict[str, Any]
PatchType = Literal["merge", "json", "apply"]


@dataclass(frozen=True, slots=True)
class ObjectList:
    """One page of a list. `resource_version` is where a watch goes on; `continue_token` is empty on the last page."""

    items: list[Object]
    resource_version: str
    continue_token: str = ""


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """`object` of a BOOKMARK carries only its metadata.resourceVersion."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: Object


class KubeClient(Protocol):
    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object: ...

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
    ) -> ObjectList: ...

    async def create(self, resource: Resource, body: Object, namespace: str | None = None) -> Object: ...

    async def replace(
        self, resource: Resource, name: str, body: Object, namespace: str | None = None, *, subresource: str = ""
    ) -> Object: ...

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
    ) -> Object: ...

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        propagation: Literal["Background", "Foreground", "Orphan"] = "Background",
        grace_period_seconds: int | None = None,
        uid: str = "",
    ) -> None: ...

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
        """Events after `resource_version`, bookmarks among them; ends when the server ends it; raises `Expired`."""
        ...

    async def read_log(
        self, pod: str, namespace: str, *, container: str = "", tail_lines: int | None = None
    ) -> bytes: ...

    async def close(self) -> None: ...
