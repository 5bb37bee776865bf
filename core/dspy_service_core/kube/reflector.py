"""Keeps a local copy of all objects of a kind: lists them in pages, then watches, for ever.

It is our own, because of the client libraries that were measured one loops on 410, one fails for custom resources, and
none reports objects that vanished while a watch was down. Here each list replaces the whole copy, so vanished objects
are noticed. An object that cannot be taken in is logged and left out.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from typing import Protocol

from dspy_service_core.kube import errors
from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.protocol import Object
from dspy_service_core.kube.resources import Resource

log = logging.getLogger(__name__)

_BACKOFF_START = 0.2
_BACKOFF_MOST = 10.0


class ObjectCache(Protocol):
    """Where the reflector writes. A list is entered page by page; at its end, `retain` gets the names of all
    objects."""

    def upsert(self, obj: Object) -> None: ...
    def remove(self, obj: Object) -> None: ...
    def retain(self, keys: frozenset[tuple[str, str]]) -> None:
        """Forgets all objects but these (namespace, name); the others vanished while nobody watched."""
        ...


class Reflector:
    """`synced` is set after the first complete list; `last_seen` is when the server last sent anything (monotonic
    seconds)."""

    def __init__(
        self,
        client: KubeClient,
        resource: Resource,
        view: ObjectCache,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        page_size: int = 500,
        watch_seconds: int = 300,
    ) -> None:
        self._client = client
        self._resource = resource
        self._view = view
        self._namespace = namespace
        self._label_selector = label_selector
        self._page_size = page_size
        self._watch_seconds = watch_seconds
        self.synced = asyncio.Event()
        self.last_seen = 0.0
        self._version = ""

    async def run(self) -> None:
        """Never returns; the cluster's errors are logged and tried again with jittered backoff."""
        backoff = _BACKOFF_START
        while True:
            try:
                if not self._version:
                    await self._list()
                await self._watch()
                backoff = _BACKOFF_START
            except errors.Expired:
                self._version = ""
            except errors.KubeError as exc:
                log.warning("%s: %s; again in %.1f s", self._resource.plural, exc, backoff)
                await asyncio.sleep(backoff * random.uniform(0.5, 1.0))
                backoff = min(backoff * 2, _BACKOFF_MOST)

    async def _list(self) -> None:
        keys: set[tuple[str, str]] = set()
        token = ""
        while True:
            page = await self._client.list(
                self._resource,
                self._namespace,
                label_selector=self._label_selector,
                limit=self._page_size,
                continue_token=token,
            )
            for obj in page.items:
                keys.add((obj["metadata"].get("namespace", ""), obj["metadata"]["name"]))
                self._tell(self._view.upsert, obj)
            token = page.continue_token
            if not token:
                break
        self._view.retain(frozenset(keys))
        self._version = page.resource_version
        self.last_seen = time.monotonic()
        self.synced.set()

    async def _watch(self) -> None:
        """Runs until the server ends the watch. The next one goes on after the last event, even after a broken
        connection."""
        async for event in self._client.watch(
            self._resource,
            self._namespace,
            resource_version=self._version,
            label_selector=self._label_selector,
            timeout_seconds=self._watch_seconds,
        ):
            self._version = event.object["metadata"]["resourceVersion"]
            self.last_seen = time.monotonic()
            if event.type == "DELETED":
                self._tell(self._view.remove, event.object)
            elif event.type != "BOOKMARK":
                self._tell(self._view.upsert, event.object)

    def _tell(self, act: Callable[[Object], None], obj: Object) -> None:
        """An error about one object ends neither the list nor the watch, since other objects are in them too."""
        try:
            act(obj)
        except Exception:
            metadata = obj["metadata"]
            place = f"{metadata.get('namespace', '')}/{metadata['name']}"
            log.exception("%s: %s cannot be taken in", self._resource.plural, place)
