"""The client of the Kubernetes API: builds requests and reads answers. A `Transport` carries them.

Every method raises the errors of `kube.errors` and nothing else.
"""

import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Literal

import orjson

from dspy_service_core import nesting
from dspy_service_core.kube import errors
from dspy_service_core.kube.lines import lines
from dspy_service_core.kube.protocol import (
    KubeRequest,
    KubeResponse,
    Object,
    ObjectList,
    PatchType,
    Transport,
    WatchEvent,
)
from dspy_service_core.kube.resources import PODS, Resource
from dspy_service_core.kube.server_time import ServerTime

OnRequest = Callable[[str, str], None]
"""Called before each request with Kubernetes' own words (`patch`, `optimizationjobs/status`), to count requests or to
forbid them: an error that it raises prevents the request."""

_PATCH_TYPES: Mapping[PatchType, str] = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "apply": "application/apply-patch+yaml",
}


def _unobserved(verb: str, resource: str) -> None:
    """The default: nothing is counted or forbidden."""


class KubeClient:
    """`server_time` tells the time by the server's clock, which is known from its answers."""

    def __init__(self, transport: Transport, on_request: OnRequest = _unobserved) -> None:
        self._transport = transport
        self._on_request = on_request
        self.server_time = ServerTime()

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        return await self._object(KubeRequest("get", resource, namespace, name))

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
        query = _query(
            labelSelector=label_selector,
            fieldSelector=field_selector,
            limit=limit,
            **{"continue": continue_token, "resourceVersion": resource_version},
        )
        page = await self._object(KubeRequest("list", resource, namespace, query=query))
        metadata = page.get("metadata", {})
        return ObjectList(page.get("items") or [], metadata.get("resourceVersion", ""), metadata.get("continue", ""))

    async def create(
        self, resource: Resource, body: Object, namespace: str | None = None, *, dry_run: bool = False
    ) -> Object:
        """A dry run goes through all that could refuse the object, and stores nothing."""
        query = _query(dryRun="All" if dry_run else "")
        return await self._object(KubeRequest("create", resource, namespace, query=query, body=_dump(body)))

    async def replace(
        self, resource: Resource, name: str, body: Object, namespace: str | None = None, *, subresource: str = ""
    ) -> Object:
        return await self._object(KubeRequest("update", resource, namespace, name, subresource, body=_dump(body)))

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
        query = _query(fieldManager=field_manager, force="true" if force else "")
        return await self._object(
            KubeRequest("patch", resource, namespace, name, subresource, query, _dump(body), _PATCH_TYPES[patch_type])
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
        options: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
        if grace_period_seconds is not None:
            options["gracePeriodSeconds"] = grace_period_seconds
        if uid:
            options["preconditions"] = {"uid": uid}
        await self._bytes(KubeRequest("delete", resource, namespace, name, body=_dump(options)))

    async def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int = 0,
    ) -> AsyncGenerator[WatchEvent, None]:
        """Events after `resource_version`, bookmarks among them; ends when the server ends it; raises `Expired`."""
        query = _query(
            watch="true",
            allowWatchBookmarks="true",
            resourceVersion=resource_version,
            labelSelector=label_selector,
            fieldSelector=field_selector,
            timeoutSeconds=timeout_seconds,
        )
        response = await self._send(KubeRequest("watch", resource, namespace, query=query))
        async with aclosing(_pieces(response)) as pieces:
            async for line in lines(pieces):
                yield _watch_event(_decoded(line, response))

    async def read_log(self, pod: str, namespace: str, *, container: str = "", tail_lines: int | None = None) -> bytes:
        query = _query(container=container, tailLines="" if tail_lines is None else str(tail_lines))
        return await self._bytes(KubeRequest("get", PODS, namespace, pod, "log", query))

    async def close(self) -> None:
        await self._transport.close()

    async def _object(self, request: KubeRequest) -> Object:
        response = await self._send(request)
        return dict(_decoded(await _whole(response), response))

    async def _bytes(self, request: KubeRequest) -> bytes:
        return await _whole(await self._send(request))

    async def _send(self, request: KubeRequest) -> KubeResponse:
        self._on_request(request.verb, request.about)
        response = await self._transport.send(request)
        if response.date is not None:
            self.server_time.heard(response.date)
        if response.status >= 400:
            raise _refusal(response.status, await _whole(response))
        return response


async def _whole(response: KubeResponse) -> bytes:
    if isinstance(response.content, bytes):
        return response.content
    return b"".join([piece async for piece in response.content])


async def _pieces(response: KubeResponse) -> AsyncGenerator[bytes, None]:
    if isinstance(response.content, bytes):
        yield response.content
        return
    async with aclosing(response.content) as pieces:
        async for piece in pieces:
            yield piece


def _dump(body: object) -> bytes:
    """orjson refuses integers above 64 bits, which kwargs may hold; the standard library writes those."""
    try:
        return orjson.dumps(body)
    except TypeError:
        return json.dumps(body, allow_nan=False).encode()


def _decoded(data: bytes, response: KubeResponse) -> Any:
    """Cuts what is nested too deeply, so that one such object does not make a whole list or watch unreadable."""
    try:
        return orjson.loads(data) if response.bounded else nesting.loads(data)
    except orjson.JSONDecodeError as exc:
        raise errors.Unavailable(f"the API server's answer is no JSON: {exc}") from exc


def _query(**given: str | int) -> dict[str, str]:
    return {name: str(value) for name, value in given.items() if value}


def _refusal(code: int, raw: bytes) -> errors.KubeError:
    try:
        status = nesting.loads(raw)
    except orjson.JSONDecodeError:
        status = {"message": raw[:500].decode(errors="replace")}
    return errors.from_status(code, status if isinstance(status, dict) else {})


def _watch_event(event: Object) -> WatchEvent:
    if event["type"] == "ERROR":
        status = event.get("object") or {}
        raise errors.from_status(int(status.get("code") or 500), status)
    return WatchEvent(event["type"], event["object"])
