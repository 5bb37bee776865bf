"""`KubeClient` over HTTP. One connection pool a process; errors are `kube.errors` and nothing else."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Literal

import aiohttp
import orjson

from dspy_service_core import nesting
from dspy_service_core.kube import errors
from dspy_service_core.kube.config import ClusterConfig
from dspy_service_core.kube.lines import lines
from dspy_service_core.kube.protocol import Object, ObjectList, PatchType, WatchEvent
from dspy_service_core.kube.resources import PODS, Resource
from dspy_service_core.kube.server_time import ServerTime

_PATCH_TYPES: Mapping[PatchType, str] = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "apply": "application/apply-patch+yaml",
}
_SENT = (asyncio.TimeoutError, aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, aiohttp.ClientOSError)
_WATCH_INACTIVITY_SECONDS = 70.0
"""A healthy server sends a bookmark about every minute; a silent connection may be dead (kopf waits as long)."""


class HttpKubeClient:
    """`request_timeout` bounds every request but watches, in seconds."""

    def __init__(self, config: ClusterConfig, *, request_timeout: float = 30.0, connections: int = 100) -> None:
        self._config = config
        self._request_timeout = aiohttp.ClientTimeout(total=request_timeout)
        self._watch_timeout = aiohttp.ClientTimeout(total=None, sock_read=_WATCH_INACTIVITY_SECONDS)
        self._connections = connections
        self.server_time = ServerTime()
        self._open: aiohttp.ClientSession | None = None

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        return await self._call("GET", resource.path(namespace, name))

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
        page = await self._call("GET", resource.path(namespace), query=query)
        metadata = page.get("metadata", {})
        return ObjectList(page.get("items") or [], metadata.get("resourceVersion", ""), metadata.get("continue", ""))

    async def create(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
        return await self._call("POST", resource.path(namespace), body)

    async def replace(
        self, resource: Resource, name: str, body: Object, namespace: str | None = None, *, subresource: str = ""
    ) -> Object:
        return await self._call("PUT", resource.path(namespace, name, subresource), body)

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
        path = resource.path(namespace, name, subresource)
        return await self._call("PATCH", path, body, query=query, content_type=_PATCH_TYPES[patch_type])

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
        await self._call("DELETE", resource.path(namespace, name), options)

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
        query = _query(
            watch="true",
            allowWatchBookmarks="true",
            resourceVersion=resource_version,
            labelSelector=label_selector,
            fieldSelector=field_selector,
            timeoutSeconds=timeout_seconds,
        )
        request = self._session().get(
            self._config.server + resource.path(namespace),
            params=query,
            headers=self._config.tokens.header(),
            timeout=self._watch_timeout,
        )
        try:
            async with request as response:
                await _raise_for_status(response)
                async for line in lines(response.content):
                    yield _watch_event(_decoded(line))
        except (aiohttp.ClientError, TimeoutError) as exc:
            raise errors.Unavailable(f"the watch of {resource.plural} broke: {_reason(exc)}") from exc

    async def read_log(self, pod: str, namespace: str, *, container: str = "", tail_lines: int | None = None) -> bytes:
        query = _query(container=container, tailLines=tail_lines or 0)
        return await self._bytes("GET", PODS.path(namespace, pod, "log"), query=query)

    async def close(self) -> None:
        if self._open is not None:
            await self._open.close()

    async def _call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Object:
        return dict(_decoded(await self._bytes(method, path, body, query=query, content_type=content_type)))

    async def _bytes(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        headers = self._config.tokens.header()
        data = None
        if body is not None:
            data, headers = _dump(body), headers | {"Content-Type": content_type}
        try:
            async with self._session().request(
                method, self._config.server + path, data=data, params=query, headers=headers
            ) as response:
                self.server_time.heard(response.headers.get("Date"))
                await _raise_for_status(response)
                return await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            sent = isinstance(exc, _SENT) and not isinstance(exc, aiohttp.ClientConnectorError)
            raise errors.Unavailable(f"the API server does not answer: {_reason(exc)}", sent=sent) from exc

    def _session(self) -> aiohttp.ClientSession:
        """Made at first use, because a session belongs to a running loop."""
        if self._open is None:
            connector = aiohttp.TCPConnector(ssl=self._config.ssl_context or True, limit=self._connections)
            self._open = aiohttp.ClientSession(
                connector=connector, timeout=self._request_timeout, headers={"Accept": "application/json"}
            )
        return self._open


def _dump(body: object) -> bytes:
    """orjson takes integers of 64 bits alone; kwargs may hold larger ones."""
    try:
        return orjson.dumps(body)
    except TypeError:
        return json.dumps(body, allow_nan=False).encode()


def _decoded(data: bytes) -> Any:
    """Whatever one object holds, the others of its list and the next of its watch are read."""
    try:
        return nesting.loads(data)
    except orjson.JSONDecodeError as exc:
        raise errors.Unavailable(f"the API server's answer is no JSON: {exc}") from exc


def _query(**given: str | int) -> dict[str, str]:
    return {name: str(value) for name, value in given.items() if value}


async def _raise_for_status(response: aiohttp.ClientResponse) -> None:
    if response.status < 400:
        return
    raw = await response.read()
    try:
        status = nesting.loads(raw)
    except orjson.JSONDecodeError:
        status = {"message": raw[:500].decode(errors="replace")}
    raise errors.from_status(response.status, status if isinstance(status, dict) else {})


def _watch_event(event: Object) -> WatchEvent:
    if event["type"] == "ERROR":
        status = event.get("object") or {}
        raise errors.from_status(int(status.get("code") or 500), status)
    return WatchEvent(event["type"], event["object"])


def _reason(exc: BaseException) -> str:
    return str(exc) or type(exc).__name__
