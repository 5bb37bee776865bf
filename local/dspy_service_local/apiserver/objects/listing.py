"""Lists in pages, each consistent with the first: later pages undo what the window says has changed since."""

import base64
import binascii
from typing import NamedTuple

import orjson

from dspy_service_local.apiserver import refusals
from dspy_service_local.apiserver.kinds.kinds import Kind
from dspy_service_local.apiserver.storage.rows import Key, Row
from dspy_service_local.apiserver.storage.selectors import Selection
from dspy_service_local.apiserver.storage.storage import Storage
from dspy_service_local.apiserver.storage.watch import Hub


class ListPage(NamedTuple):
    rows: list[Row]
    revision: int
    continue_token: str = ""
    remaining: int | None = None


class _Position(NamedTuple):
    """What a continue token holds: the first page's revision, and the last object sent."""

    revision: int
    namespace: str
    name: str


def first_page(storage: Storage, kind: Kind, selection: Selection, limit: int) -> ListPage:
    rows = storage.reader().page(kind.id, selection, ("", ""), limit + 1 if limit else -1)
    return _page(storage, kind, selection, rows, limit, storage.revision)


def next_page(storage: Storage, hub: Hub, kind: Kind, selection: Selection, limit: int, token: str) -> ListPage:
    position = _parsed(token)
    if position.revision > storage.revision:
        raise refusals.too_new(position.revision, storage.revision)
    try:
        earlier = hub.undo(kind.id, position.revision)
    except Exception as exc:
        raise refusals.expired(
            "The provided continue parameter is too old to display a consistent list result. You must start a new list"
            " without the continue parameter."
        ) from exc
    after = (position.namespace, position.name)
    rows = storage.reader().page(kind.id, selection, after, limit + 1 + len(earlier) if limit else -1)
    restored = _as_they_were(rows, earlier, selection, after)
    return _page(storage, kind, selection, restored, limit, position.revision)


def exact_page(storage: Storage, hub: Hub, kind: Kind, selection: Selection, limit: int, revision: int) -> ListPage:
    """The list as it was at a revision that the window still reaches."""
    if revision > storage.revision:
        raise refusals.too_new(revision, storage.revision)
    earlier = hub.undo(kind.id, revision)
    rows = storage.reader().page(kind.id, selection, ("", ""), limit + 1 + len(earlier) if limit else -1)
    return _page(storage, kind, selection, _as_they_were(rows, earlier, selection, ("", "")), limit, revision)


def _as_they_were(
    rows: list[Row], earlier: dict[Key, Row | None], selection: Selection, after: tuple[str, str]
) -> list[Row]:
    unchanged = [row for row in rows if row.key not in earlier]
    back = [
        row
        for key, row in earlier.items()
        if row is not None
        and (key.namespace, key.name) > after
        and selection.matches(key.namespace, key.name, row.facets)
    ]
    return sorted(unchanged + back, key=lambda row: row.key)


def _page(storage: Storage, kind: Kind, selection: Selection, rows: list[Row], limit: int, revision: int) -> ListPage:
    if not limit or len(rows) <= limit:
        return ListPage(rows, revision)
    rows = rows[:limit]
    last = rows[-1].key
    remaining = None
    if not selection.by_facets:
        remaining = storage.reader().count(kind.id, selection, (last.namespace, last.name))
    return ListPage(rows, revision, _token(_Position(revision, last.namespace, last.name)), remaining)


def _token(position: _Position) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(tuple(position))).decode().rstrip("=")


def _parsed(token: str) -> _Position:
    try:
        revision, namespace, name = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return _Position(int(revision), str(namespace), str(name))
    except (ValueError, TypeError, binascii.Error) as exc:
        raise refusals.bad_request("continue key is not valid") from exc
