"""What the Kubernetes client and its transports say to each other, and what the client answers.

Objects are plain dicts exactly as the API server sends them: this is the Kubernetes edge, models begin behind it.
A transport carries one request to an API server (`http_transport`, or in process in the embedded cluster); all that a
request means is the client's business.
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
    """One page of a list. `resource_version` is where a watch goes on; `continue_token` is empty on the last page."""

    items: list[Object]
    resource_version: str
    continue_token: str = ""


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """`object` of a BOOKMARK carries only its metadata.resourceVersion."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: Object


@dataclass(frozen=True, slots=True)
class KubeRequest:
    """In Kubernetes' own words, as RBAC and audit logs have them. Without a namespace, it spans all of them."""

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
        """What rights and figures name, such as `optimizationjobs/status`."""
        return f"{self.resource.plural}/{self.subresource}" if self.subresource else self.resource.plural


@dataclass(frozen=True, slots=True)
class KubeResponse:
    """`content` is whole, or comes in pieces of any length for as long as the server has any: a watch, a log."""

    status: int
    content: bytes | AsyncGenerator[bytes, None]
    date: str | None = None
    """The header of that name, from a server that has a clock of its own."""
    bounded: bool = False
    """The server keeps nothing that is nested too deeply: nobody has to look for that."""


class Transport(ABC):
    @abstractmethod
    async def send(self, request: KubeRequest) -> KubeResponse:
        """Any answer of the server, a refusal too. Raises `Unavailable` where there is none, or where it breaks off."""

    async def close(self) -> None:  # noqa: B027  (most have nothing to close)
        """For transports that hold connections."""
