"""Rows as `storage` keeps them, and pages of them: the reading half, on any connection to the database."""

import sqlite3
from typing import NamedTuple

import orjson

from dspy_service_local.apiserver.storage.selectors import Facets, Selection

_NO_FACETS = b"[{},{}]"


class Key(NamedTuple):
    """`kind` is the qualified plural (`jobs.batch`); a cluster-wide object has the namespace ''."""

    kind: str
    namespace: str
    name: str


class Row(NamedTuple):
    id: int
    key: Key
    revision: int
    facets: Facets
    body: bytes


class Change(NamedTuple):
    """One committed write, as watches need it. `body` of a DELETED is the last state under the deletion's revision."""

    type: str
    key: Key
    revision: int
    body: bytes
    facets: Facets
    previous: Row | None


class Reader:
    """Pages of one kind in the order of namespace and name."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def revision(self) -> int:
        (revision,) = self._connection.execute("SELECT value FROM revision").fetchone()
        return int(revision)

    def page(self, kind: str, selection: Selection, after: tuple[str, str], limit: int) -> list[Row]:
        if not selection.by_facets:
            return [
                Row(row[0], Key(kind, row[1], row[2]), row[3], unpacked(row[4]), row[5])
                for row in self._select("id, namespace, name, revision, facets, body", kind, selection, after, limit)
            ]
        chosen = []
        for row in self._select("id, namespace, name, revision, facets", kind, selection, after, -1):
            facets = unpacked(row[4])
            if selection.matches(row[1], row[2], facets):
                chosen.append((row, facets))
                if len(chosen) == limit:
                    break
        return [Row(r[0], Key(kind, r[1], r[2]), r[3], facets, self._body(r[0])) for r, facets in chosen]

    def count(self, kind: str, selection: Selection, after: tuple[str, str]) -> int:
        where, values = _where(kind, selection, after)
        (count,) = self._connection.execute(f"SELECT COUNT(*) FROM objects WHERE {where}", values).fetchone()
        return int(count)

    def _select(
        self, columns: str, kind: str, selection: Selection, after: tuple[str, str], limit: int
    ) -> sqlite3.Cursor:
        where, values = _where(kind, selection, after)
        source = "objects JOIN bodies USING (id)" if "body" in columns else "objects"
        return self._connection.execute(
            f"SELECT {columns} FROM {source} WHERE {where} ORDER BY namespace, name LIMIT ?", (*values, limit)
        )

    def _body(self, row_id: int) -> bytes:
        (body,) = self._connection.execute("SELECT body FROM bodies WHERE id = ?", (row_id,)).fetchone()
        return bytes(body)


def _where(kind: str, selection: Selection, after: tuple[str, str]) -> tuple[str, tuple[str, ...]]:
    clauses, values = ["kind = ?"], [kind]
    if selection.namespace is not None:
        clauses.append("namespace = ?")
        values.append(selection.namespace)
    if selection.name is not None:
        clauses.append("name = ?")
        values.append(selection.name)
    if after != ("", ""):
        clauses.append("(namespace, name) > (?, ?)")
        values += after
    return " AND ".join(clauses), tuple(values)


def packed(facets: Facets) -> bytes:
    return orjson.dumps(tuple(facets)) if facets.labels or facets.fields else _NO_FACETS


_EMPTY = Facets({}, {})


def unpacked(packed: bytes) -> Facets:
    return _EMPTY if packed == _NO_FACETS else Facets(*orjson.loads(packed))
