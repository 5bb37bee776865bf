"""Lists and watches over HTTP, made of stored bytes: nothing is parsed unless a table is asked for."""

import random
from collections.abc import AsyncGenerator
from typing import NamedTuple

import orjson

from dspy_service_core.kube import errors
from dspy_service_local.apiserver import refusals
from dspy_service_local.apiserver.http import tables
from dspy_service_local.apiserver.http.answers import Answer, StreamedAnswer
from dspy_service_local.apiserver.http.requests import Request
from dspy_service_local.apiserver.kinds.kinds import Kind
from dspy_service_local.apiserver.objects.listing import ListPage, exact_page, first_page, next_page
from dspy_service_local.apiserver.objects.operations import Operations
from dspy_service_local.apiserver.storage.selectors import Selection
from dspy_service_local.apiserver.storage.watch import Hub, Subscription, Told

_CHUNK = 500
"""Objects that a list without a limit reads at a time, so that the event loop is never held for long."""
_BOOKMARK_SECONDS = 45.0
"""Real servers send one about every minute; clients give up on a connection after 70 silent seconds."""
_LEAST_WATCH_SECONDS = 1800
_INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class Lists:
    def __init__(self, operations: Operations, hub: Hub) -> None:
        self._operations = operations
        self._hub = hub

    async def answer(self, request: Request, kind: Kind, selection: Selection) -> Answer | StreamedAnswer:
        query = request.query
        limit = whole_number(query, "limit")
        token = query.get("continue", "")
        storage = self._operations.storage
        exact = query.get("resourceVersionMatch") == "Exact"
        revision = resource_version(query)
        if token:
            page = next_page(storage, self._hub, kind, selection, limit, token)
        elif exact:
            page = exact_page(storage, self._hub, kind, selection, limit, revision or 0)
        else:
            if revision and revision > storage.revision:
                raise refusals.too_new(revision, storage.revision)
            if not limit and not request.wants_table and not selection.by_facets:
                return self._whole(kind, selection)
            page = first_page(storage, kind, selection, limit)
        if request.wants_table:
            bodies = [row.body for row in page.rows]
            metadata = _list_metadata(page)
            return Answer(200, tables.table(kind, bodies, query, self._operations.clock(), metadata=metadata))
        return Answer(200, _list(kind, page))

    def _whole(self, kind: Kind, selection: Selection) -> Answer | StreamedAnswer:
        storage = self._operations.storage
        rows = storage.reader().page(kind.id, selection, ("", ""), _CHUNK + 1)
        if len(rows) <= _CHUNK:
            return Answer(200, _list(kind, ListPage(rows, storage.revision)))
        return StreamedAnswer(self._chunks(kind, selection))

    async def _chunks(self, kind: Kind, selection: Selection) -> AsyncGenerator[bytes, None]:
        await self._operations.storage.committed()
        with self._operations.storage.snapshot() as reader:
            yield _begin_list(kind, ListPage([], reader.revision()))
            after, separator = ("", ""), b""
            while rows := reader.page(kind.id, selection, after, _CHUNK):
                yield separator + b",".join(row.body for row in rows)
                after, separator = (rows[-1].key.namespace, rows[-1].key.name), b","
            yield b"]}"


def _begin_list(kind: Kind, page: ListPage) -> bytes:
    head = {"kind": kind.kind_of_list, "apiVersion": kind.resource.api_version, "metadata": _list_metadata(page)}
    return orjson.dumps(head)[:-1] + b',"items":['


def _list(kind: Kind, page: ListPage) -> bytes:
    return _begin_list(kind, page) + b",".join(row.body for row in page.rows) + b"]}"


def _list_metadata(page: ListPage) -> dict[str, object]:
    metadata: dict[str, object] = {"resourceVersion": str(page.revision)}
    if page.continue_token:
        metadata["continue"] = page.continue_token
    if page.remaining:
        metadata["remainingItemCount"] = page.remaining
    return metadata


class _Asked(NamedTuple):
    """How a watch is to be answered."""

    kind: Kind
    bookmarks: bool
    seconds: float
    table: bool
    query: dict[str, str]


class Watches:
    def __init__(self, operations: Operations, hub: Hub) -> None:
        self._operations = operations
        self._hub = hub

    async def answer(self, request: Request, kind: Kind, selection: Selection) -> Answer | StreamedAnswer:
        query, storage = request.query, self._operations.storage
        seconds = whole_number(query, "timeoutSeconds") or _LEAST_WATCH_SECONDS * random.uniform(1, 2)
        bookmarks = query.get("allowWatchBookmarks") in ("true", "1")
        asked = _Asked(kind, bookmarks, float(seconds), request.wants_table, query)
        revision = resource_version(query)
        if revision and revision > storage.revision:
            raise refusals.too_new(revision, storage.revision)
        if query.get("sendInitialEvents") in ("true", "1"):
            initial, marked = self._existing(kind, selection), True
        else:
            initial, marked = ([] if revision else self._existing(kind, selection)), False
        try:
            subscription = self._hub.subscribe(
                kind.id, selection, storage.revision if not revision or marked else revision
            )
        except errors.Expired as exc:
            return StreamedAnswer(_expired(exc))
        return StreamedAnswer(self._events(asked, subscription, initial, marked))

    def _existing(self, kind: Kind, selection: Selection) -> list[Told]:
        rows = first_page(self._operations.storage, kind, selection, 0).rows
        return [Told("ADDED", row.revision, row.body) for row in rows]

    async def _events(
        self, asked: _Asked, subscription: Subscription, initial: list[Told], marked: bool
    ) -> AsyncGenerator[bytes, None]:
        clock = self._operations.monotonic
        end = clock() + asked.seconds
        encode = tables.watch_encoder(asked.kind, asked.query, self._operations.clock) if asked.table else Told.line
        try:
            if initial:
                yield b"".join(map(encode, initial))
            if marked and asked.bookmarks:
                yield _bookmark(asked.kind, subscription.bookmark(), {_INITIAL_EVENTS_END: "true"})
            while (left := end - clock()) > 0:
                told = await subscription.next(min(left, _BOOKMARK_SECONDS))
                if told is None:
                    return
                if told:
                    yield b"".join(map(encode, told))
                elif asked.bookmarks:
                    yield _bookmark(asked.kind, subscription.bookmark())
        finally:
            subscription.close()


def _bookmark(kind: Kind, revision: int, annotations: dict[str, str] | None = None) -> bytes:
    metadata: dict[str, object] = {"resourceVersion": str(revision), "creationTimestamp": None}
    if annotations:
        metadata["annotations"] = annotations
    obj = {"kind": kind.resource.kind, "apiVersion": kind.resource.api_version, "metadata": metadata}
    return orjson.dumps({"type": "BOOKMARK", "object": obj}) + b"\n"


async def _expired(exc: errors.Expired) -> AsyncGenerator[bytes, None]:
    """Too old a watch is answered 200 and an ERROR event, as the real server's cache does."""
    yield orjson.dumps({"type": "ERROR", "object": dict(exc.status)}) + b"\n"


def resource_version(query: dict[str, str]) -> int | None:
    """None for '' and '0': anything will do."""
    value = query.get("resourceVersion", "")
    if value in ("", "0"):
        return None
    if not value.isdecimal():
        raise refusals.bad_request(f'resourceVersion: Invalid value: "{value}": strconv.ParseUint: invalid syntax')
    return int(value)


def whole_number(query: dict[str, str], name: str) -> int:
    value = query.get(name) or "0"
    if not value.isdecimal():
        raise refusals.bad_request(f'{name}: Invalid value: "{value}": must be a whole number')
    return int(value)
