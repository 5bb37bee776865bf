"""Objects as bytes in one SQLite file, under one global, ever growing resourceVersion.

Below `operations` and above nothing. Bodies are stored as they are answered, so that reads never parse them; labels
and selectable fields lie beside them in a narrow table, so that selectors never read bodies. Writes of one turn of the
event loop share a transaction (group commit): each is visible at once to this process, and acknowledged, and told to
watches, only after `committed()`. WAL with synchronous=NORMAL: a killed process loses nothing acknowledged, a power cut
may.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dspy_service_local.apiserver import refusals
from dspy_service_local.apiserver.storage.rows import Change, Key, Reader, Row, packed, unpacked
from dspy_service_local.apiserver.storage.selectors import Facets

_SCHEMA = """
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA wal_autocheckpoint = 0;
PRAGMA cache_size = -8000;
CREATE TABLE IF NOT EXISTS revision (one INTEGER PRIMARY KEY CHECK (one = 1), value INTEGER NOT NULL);
INSERT OR IGNORE INTO revision VALUES (1, 100);
CREATE TABLE IF NOT EXISTS objects (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
    uid TEXT NOT NULL, revision INTEGER NOT NULL, deleting INTEGER NOT NULL DEFAULT 0, facets BLOB NOT NULL,
    UNIQUE (kind, namespace, name));
CREATE INDEX IF NOT EXISTS objects_by_uid ON objects (uid);
CREATE INDEX IF NOT EXISTS objects_deleting ON objects (deleting) WHERE deleting;
CREATE TABLE IF NOT EXISTS bodies (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS owners (
    owner TEXT NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (owner, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS owners_by_object ON owners (id);
"""
"""Revisions begin at 100, so that the first few are always too old for a watch, as in any cluster that has begun."""
_CHECKPOINT_PAGES = 2000
"""About 8 MB of log: then a checkpoint runs in a thread, since its fsync would halt the event loop."""


class Storage:
    """One writer, the event loop's thread. `publish` gets each transaction's changes once it is committed."""

    def __init__(self, path: Path, publish: Callable[[Sequence[Change]], None]) -> None:
        self._path = path
        self._publish = publish
        self._connection = sqlite3.connect(path, isolation_level=None, cached_statements=64)
        self._connection.executescript(_SCHEMA)
        self.revision = self.reader().revision()
        self._staged: list[Change] = []
        self._commit: asyncio.Future[None] | None = None
        self._checkpoint: asyncio.Future[None] | None = None
        self._written = 0

    def get(self, key: Key) -> Row | None:
        row = self._connection.execute(
            "SELECT id, revision, facets, body FROM objects JOIN bodies USING (id)"
            " WHERE kind = ? AND namespace = ? AND name = ?",
            key,
        ).fetchone()
        return Row(row[0], key, row[1], unpacked(row[2]), row[3]) if row else None

    def next_revision(self) -> int:
        self.revision += 1
        return self.revision

    def insert(self, key: Key, uid: str, body: bytes, facets: Facets, owners: Sequence[str]) -> None:
        """The body holds the revision that `next_revision` gave."""
        with self._writing():
            cursor = self._connection.execute(
                "INSERT INTO objects (kind, namespace, name, uid, revision, facets) VALUES (?, ?, ?, ?, ?, ?)",
                (*key, uid, self.revision, packed(facets)),
            )
            row_id = int(cursor.lastrowid or 0)
            self._connection.execute("INSERT INTO bodies VALUES (?, ?)", (row_id, body))
            self._own(row_id, owners)
        self._staged.append(Change("ADDED", key, self.revision, body, facets, None))

    def update(self, old: Row, body: bytes, facets: Facets, owners: Sequence[str] | None, deleting: bool) -> None:
        """`owners` None: unchanged."""
        with self._writing():
            self._connection.execute(
                "UPDATE objects SET revision = ?, facets = ?, deleting = ? WHERE id = ?",
                (self.revision, packed(facets), deleting, old.id),
            )
            self._connection.execute("UPDATE bodies SET body = ? WHERE id = ?", (body, old.id))
            if owners is not None:
                self._connection.execute("DELETE FROM owners WHERE id = ?", (old.id,))
                self._own(old.id, owners)
        self._staged.append(Change("MODIFIED", old.key, self.revision, body, facets, old))

    def delete(self, old: Row, body: bytes) -> None:
        with self._writing():
            self._connection.execute("DELETE FROM objects WHERE id = ?", (old.id,))
            self._connection.execute("DELETE FROM bodies WHERE id = ?", (old.id,))
            self._connection.execute("DELETE FROM owners WHERE id = ?", (old.id,))
        self._staged.append(Change("DELETED", old.key, self.revision, body, old.facets, old))

    def exists(self, uid: str) -> bool:
        return self._connection.execute("SELECT 1 FROM objects WHERE uid = ?", (uid,)).fetchone() is not None

    def dependents(self, owner: str) -> list[Key]:
        rows = self._connection.execute(
            "SELECT kind, namespace, name FROM owners JOIN objects USING (id) WHERE owner = ?", (owner,)
        )
        return [Key(*row) for row in rows]

    def lost_owners(self) -> list[str]:
        """Owners named by objects and not there themselves: what a restart may have left to collect."""
        rows = self._connection.execute(
            "SELECT DISTINCT owner FROM owners WHERE NOT EXISTS (SELECT 1 FROM objects WHERE uid = owner)"
        )
        return [owner for (owner,) in rows]

    def key_of(self, uid: str) -> Key | None:
        row = self._connection.execute("SELECT kind, namespace, name FROM objects WHERE uid = ?", (uid,)).fetchone()
        return Key(*row) if row else None

    def deleting(self) -> list[Key]:
        return [
            Key(*row) for row in self._connection.execute("SELECT kind, namespace, name FROM objects WHERE deleting")
        ]

    def living(self, *, namespace: str = "", kind: str = "", limit: int) -> list[Key]:
        """Objects of a namespace, or of a kind, whose deletion has not begun."""
        column, value = ("namespace", namespace) if namespace else ("kind", kind)
        query = f"SELECT kind, namespace, name FROM objects WHERE {column} = ? AND NOT deleting LIMIT ?"
        return [Key(*row) for row in self._connection.execute(query, (value, limit))]

    def is_empty(self, *, namespace: str = "", kind: str = "") -> bool:
        column, value = ("namespace", namespace) if namespace else ("kind", kind)
        query = f"SELECT 1 FROM objects WHERE {column} = ? LIMIT 1"
        return self._connection.execute(query, (value,)).fetchone() is None

    def reader(self) -> Reader:
        return Reader(self._connection)

    @contextmanager
    def snapshot(self) -> Iterator[Reader]:
        """What is stored now, unmoved by later writes, for lists that are sent in pieces. Await `committed` first."""
        connection = sqlite3.connect(self._path, isolation_level=None)
        try:
            connection.execute("BEGIN")
            yield Reader(connection)
        finally:
            connection.close()

    async def committed(self) -> None:
        """Returns once everything written so far would survive this process."""
        if self._commit is not None:
            await asyncio.shield(self._commit)

    async def close(self) -> None:
        await self.committed()
        if self._checkpoint is not None:
            await self._checkpoint
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()

    def _own(self, row_id: int, owners: Iterable[str]) -> None:
        for owner in owners:
            self._connection.execute("INSERT OR IGNORE INTO owners VALUES (?, ?)", (owner, row_id))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            if self._commit is None:
                self._connection.execute("BEGIN IMMEDIATE")
                loop = asyncio.get_running_loop()
                self._commit = loop.create_future()
                loop.call_soon(self._finish)
            yield
        except sqlite3.Error as exc:
            raise self._abandon(exc) from exc

    def _finish(self) -> None:
        if self._commit is None:
            return
        try:
            self._connection.execute("UPDATE revision SET value = ?", (self.revision,))
            self._connection.execute("COMMIT")
        except sqlite3.Error as exc:
            self._abandon(exc)
            return
        done, self._commit = self._commit, None
        staged, self._staged = self._staged, []
        self._publish(staged)
        done.set_result(None)
        self._written += len(staged)
        self._start_checkpoint()

    def _abandon(self, exc: sqlite3.Error) -> Exception:
        """Nobody in this transaction was answered yet: all of them are refused, and nothing of it remains."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        refusal = refusals.unavailable(f"the cluster's database cannot be written: {exc}")
        done, self._commit, self._staged = self._commit, None, []
        if done is not None:
            done.set_exception(refusal)
            done.exception()  # seen: whoever is waiting raises it
        return refusal

    def _start_checkpoint(self) -> None:
        if self._written < _CHECKPOINT_PAGES // 4 or (self._checkpoint and not self._checkpoint.done()):
            return
        self._written = 0
        self._checkpoint = asyncio.get_running_loop().run_in_executor(None, _checkpoint, self._path)


def _checkpoint(path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        connection.execute("PRAGMA incremental_vacuum(200)")
    finally:
        connection.close()
