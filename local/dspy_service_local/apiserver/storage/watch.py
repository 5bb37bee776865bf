"""From committed changes to watchers: a bounded window of the recent past, and one queue a watcher.

`storage` publishes here after each commit. A watch begins after any revision that the window still holds; older ones
are answered 410. A change is encoded once, however many watchers get it.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import orjson

from dspy_service_local.apiserver import refusals
from dspy_service_local.apiserver.storage.rows import Change, Key, Row
from dspy_service_local.apiserver.storage.selectors import Selection

log = logging.getLogger(__name__)

_WINDOW_BYTES = 16 * 1024 * 1024
_WINDOW_CHANGES = 20_000
_QUEUE_BYTES = 64 * 1024 * 1024
"""A watcher that lags further is cut off; it comes back with a list, as with a real API server."""


class Told(NamedTuple):
    """A change as one watcher sees it: leaving the selection is a DELETED, entering it an ADDED."""

    type: str
    revision: int
    body: bytes

    def line(self) -> bytes:
        return b'{"type":"%b","object":%b}\n' % (self.type.encode(), self.body)


class Hub:
    def __init__(self) -> None:
        self._window: deque[Change] = deque()
        self._bytes = 0
        self._watchers: dict[str, set[Subscription]] = {}
        self._listeners: list[Callable[[Change], None]] = []
        self.floor = 0
        """Changes after this revision are in the window."""
        self.revision = 0
        """The newest revision that watchers were told of."""

    def start_at(self, revision: int) -> None:
        self.floor = self.revision = revision

    def publish(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self.revision = change.revision
            self._remember(change)
            for watcher in self._watchers.get(change.key.kind, ()):
                watcher.offer(change)
            for listener in self._listeners:
                try:
                    listener(change)
                except Exception:  # whoever waits for this commit, and every watcher, would wait for ever
                    log.exception("%s %s", change.type, change.key)

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Called with every change of every kind, for as long as the hub lives."""
        self._listeners.append(listener)

    def subscribe(self, kind: str, selection: Selection, since: int) -> "Subscription":
        self.require(since)
        subscription = Subscription(self, kind, selection, since)
        for change in self._after(kind, since):
            subscription.offer(change)
        self._watchers.setdefault(kind, set()).add(subscription)
        return subscription

    def unsubscribe(self, subscription: "Subscription") -> None:
        self._watchers.get(subscription.kind, set()).discard(subscription)

    def require(self, since: int) -> None:
        if since < self.floor:
            raise refusals.expired(f"too old resource version: {since} ({self.floor})")

    def undo(self, kind: str, since: int) -> dict[Key, Row | None]:
        """What the objects changed after `since` were at it (None: not there), for lists that go on page by page."""
        self.require(since)
        earlier: dict[Key, Row | None] = {}
        for change in self._after(kind, since):
            earlier.setdefault(change.key, change.previous)
        return earlier

    def close(self) -> None:
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.end()

    def _after(self, kind: str, since: int) -> list[Change]:
        found = []
        for change in reversed(self._window):
            if change.revision <= since:
                break
            if change.key.kind == kind:
                found.append(change)
        return found[::-1]

    def _remember(self, change: Change) -> None:
        self._window.append(change)
        self._bytes += _size(change)
        while self._bytes > _WINDOW_BYTES or len(self._window) > _WINDOW_CHANGES:
            oldest = self._window.popleft()
            self._bytes -= _size(oldest)
            self.floor = oldest.revision


class Subscription:
    """What one watcher has yet to read."""

    def __init__(self, hub: Hub, kind: str, selection: Selection, since: int) -> None:
        self.kind = kind
        self._hub = hub
        self._selection = selection
        self._since = since
        self._queue: list[Told] = []
        self._bytes = 0
        self._ended = False
        self._wake = asyncio.Event()

    def offer(self, change: Change) -> None:
        if change.revision <= self._since or self._ended:
            return
        told = self._told(change)
        if told is None:
            return
        self._queue.append(told)
        self._bytes += len(told.body)
        if self._bytes > _QUEUE_BYTES:
            self.end()
        self._wake.set()

    async def next(self, timeout: float) -> list[Told] | None:
        """What came since, [] after `timeout` seconds of silence, None once the watch has ended."""
        if not self._queue and not self._ended:
            await self._wait(timeout)
        if self._ended and not self._queue:
            return None
        queue, self._queue, self._bytes = self._queue, [], 0
        self._wake.clear()
        return queue

    def bookmark(self) -> int:
        """The revision up to which this watcher has read everything; call only after `next` gave []."""
        return max(self._since, self._hub.revision)

    def end(self) -> None:
        self._ended = True
        self._wake.set()

    def close(self) -> None:
        self.end()
        self._hub.unsubscribe(self)

    async def _wait(self, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._wake.wait()
        except TimeoutError:
            return

    def _told(self, change: Change) -> Told | None:
        selection, key, before = self._selection, change.key, change.previous
        matched = before is not None and selection.matches(key.namespace, key.name, before.facets)
        if change.type == "DELETED":
            return Told("DELETED", change.revision, change.body) if matched else None
        if selection.matches(key.namespace, key.name, change.facets):
            return Told("MODIFIED" if matched else "ADDED", change.revision, change.body)
        if matched and before is not None:
            return Told("DELETED", change.revision, restamped(before.body, change.revision))
        return None


def restamped(body: bytes, revision: int) -> bytes:
    obj = orjson.loads(body)
    obj["metadata"]["resourceVersion"] = str(revision)
    return orjson.dumps(obj)


def _size(change: Change) -> int:
    """The previous body is mostly shared with the change before; counting it keeps the bound safe."""
    return len(change.body) + (len(change.previous.body) if change.previous else 0) + 500
