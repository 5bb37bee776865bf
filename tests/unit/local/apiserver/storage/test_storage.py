"""What is on disk: nothing acknowledged is lost by a kill, and nothing that failed remains."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from dspy_service_core.kube.errors import Unavailable
from dspy_service_core.kube.resources import CONFIG_MAPS, CUSTOM_RESOURCE_DEFINITIONS, Resource
from dspy_service_local.apiserver import Cluster, ClusterInUse
from dspy_service_local.apiserver.storage.rows import Change, Key
from dspy_service_local.apiserver.storage.selectors import Facets, Selection
from dspy_service_local.apiserver.storage.storage import Storage
from widgets import DEFINITION, widget

WIDGETS = Resource("testing.dspy-service.io", "v1", "widgets", "Widget")
_NOTHING = Facets({}, {})

_WRITER = """
import asyncio, sys
from pathlib import Path
from dspy_service_core.kube.resources import CONFIG_MAPS
from dspy_service_local.apiserver import Cluster

async def write(cluster, worker):
    for number in range(100_000):
        name = f"c-{worker}-{number}"
        await cluster.client.create(CONFIG_MAPS, {"metadata": {"name": name}, "data": {"x": "y" * 2000}}, "default")
        print(name, flush=True)

async def main():
    cluster = await Cluster.open(Path(sys.argv[1]))
    await asyncio.gather(*(write(cluster, worker) for worker in range(4)))

asyncio.run(main())
"""


def test_a_kill_loses_nothing_acknowledged(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().strip() for _ in range(400)]
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read()  # the rest of its buffer too, which `communicate` with a time-out passes over
    process.wait()
    acknowledged += [line for line in rest.split("\n")[:-1] if line]

    async def stored() -> set[str]:
        cluster = await Cluster.open(tmp_path)
        names = {item["metadata"]["name"] for item in (await cluster.client.list(CONFIG_MAPS, "default")).items}
        await cluster.close()
        return names

    assert set(acknowledged) <= asyncio.run(stored())


async def test_everything_is_there_again_after_a_restart(tmp_path: Path) -> None:
    cluster = await Cluster.open(tmp_path)
    await cluster.client.create(CUSTOM_RESOURCE_DEFINITIONS, DEFINITION)
    made = await cluster.client.create(WIDGETS, widget("a"), "default")
    await cluster.client.create(CONFIG_MAPS, {"metadata": {"name": "gone"}}, "default")
    await cluster.client.delete(CONFIG_MAPS, "gone", "default")
    revision = cluster.operations.storage.revision
    await cluster.close()
    again = await Cluster.open(cluster.folder)
    assert await again.client.get(WIDGETS, "a", "default") == made
    assert again.operations.storage.revision >= revision
    await again.client.create(WIDGETS, widget("b"), "default")
    assert again.operations.storage.revision > revision
    assert again.tokens.admin_token == cluster.tokens.admin_token
    await again.close()


async def test_a_folder_has_one_server(cluster: Cluster) -> None:
    with pytest.raises(ClusterInUse):
        await Cluster.open(cluster.folder)


async def _insert(storage: Storage, name: str, uid: str) -> None:
    """As the operations do: nothing is awaited between a write and the wait for its commit."""
    storage.next_revision()
    storage.insert(Key("things", "n", name), uid, b"{}", _NOTHING, ())
    await storage.committed()


async def test_a_failed_transaction_refuses_everyone_in_it_and_leaves_nothing(tmp_path: Path) -> None:
    published: list[Change] = []
    storage = Storage(tmp_path / "db", published.extend)
    twice = (_insert(storage, "first", "uid-1"), _insert(storage, "first", "uid-2"))  # the second breaks a unique key
    outcomes = await asyncio.gather(*twice, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Unavailable, Unavailable]
    assert storage.get(Key("things", "n", "first")) is None
    assert published == []
    await _insert(storage, "second", "uid-3")
    assert [change.key.name for change in published] == ["second"]
    await storage.close()


async def test_a_full_disk_is_said_and_survived(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "db", lambda changes: None)
    (pages,) = storage._connection.execute("PRAGMA page_count").fetchone()
    storage._connection.execute(f"PRAGMA max_page_count = {pages + 20}")
    storage.next_revision()
    with pytest.raises(Unavailable, match="cannot be written"):
        storage.insert(Key("things", "n", "big"), "uid", b"x" * 1_000_000, _NOTHING, ())
    storage._connection.execute(f"PRAGMA max_page_count = {pages + 2000}")
    storage.next_revision()
    storage.insert(Key("things", "n", "big"), "uid", b"x" * 1_000_000, _NOTHING, ())
    await storage.committed()
    assert storage.get(Key("things", "n", "big")) is not None
    await storage.close()


async def test_watchers_hear_of_committed_changes_alone(tmp_path: Path) -> None:
    published: list[Change] = []
    storage = Storage(tmp_path / "db", published.extend)
    storage.next_revision()
    storage.insert(Key("things", "n", "a"), "uid", b"{}", _NOTHING, ())
    assert published == []
    await storage.committed()
    with sqlite3.connect(tmp_path / "db") as other:
        assert other.execute("SELECT count(*) FROM objects").fetchone() == (1,)
    assert len(published) == 1
    await storage.close()


async def test_a_snapshot_stays_as_it_was(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "db", lambda changes: None)
    storage.next_revision()
    storage.insert(Key("things", "n", "a"), "uid", b"{}", _NOTHING, ())
    await storage.committed()
    with storage.snapshot() as reader:
        revision = reader.revision()
        storage.next_revision()
        storage.insert(Key("things", "n", "b"), "uid-2", b"{}", _NOTHING, ())
        await storage.committed()
        assert [row.key.name for row in reader.page("things", Selection(), ("", ""), -1)] == ["a"]
        assert reader.revision() == revision
    await storage.close()
