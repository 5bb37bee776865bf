"""Requests and responses between the Kubernetes client and its transports, and what the client returns.

Objects are plain dicts, exactly as the API server sends them; models are made of them elsewhere. A transport only
carries a request to an API server (`http_transport`, or in process in the embedded cluster); what requests and answers
mean is the client's business.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from dspy_service_core.kube.resources import Resource

Object = dict[str, Any]
PatchType = Literal["merge", "json", "apply"]
Verb = Literal["get", "list", "watch", "create", "update", "patch", "delete"]

_METHODS: Mapping[Verb, str] = {
    "get": "GET",
    "list": "GET",
    "watch": "GET",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
}


@dataclass(frozen=True, slots=True)
class ObjectList:
    """One page of a list. A watch can start at `resource_version`; `continue_token` is empty on the last page."""

    items: list[Object]
    resource_version: str
    continue_token: str = ""


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """Of a BOOKMARK, `object` has only metadata.resourceVersion."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: Object


@dataclass(frozen=True, slots=True)
class KubeRequest:
    """A request in the terms of RBAC and audit logs. Without a namespace, it is about all namespaces."""

    verb: Verb
    resource: Resource
    namespace: str | None = None
    name: str = ""
    subresource: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    content_type: str = "application/json"

    @property
    def method(self) -> str:
        return _METHODS[self.verb]

    @property
    def path(self) -> str:
        return self.resource.path(self.namespace, self.name, self.subresource)

    @property
    def about(self) -> str:
        """The resource as RBAC and metrics name it, such as `optimizationjobs/status`."""
        return f"{self.resource.plural}/{self.subresource}" if self.subresource else self.resource.plural


@dataclass(frozen=True, slots=True)
class KubeResponse:
    """`content` is complete, or, for a watch or a log, comes in pieces of any length."""

    status: int
    content: bytes | AsyncGenerator[bytes, None]
    date: str | None = None
    """The Date header, from a server that has a clock of its own."""
    bounded: bool = False
    """The server stores nothing that is nested too deeply, so answers need not be checked for it."""


class Transport(ABC):
    @abstractmethod
    async def send(self, request: KubeRequest) -> KubeResponse:
        """Returns any answer of the server, also a refusal. Raises `Unavailable` if there is none or if it breaks
        off."""

    async def close(self) -> None:  # noqa: B027  (most have nothing to close)
        """Overridden by transports that hold connections."""
