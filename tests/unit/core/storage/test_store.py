import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from dspy_service_core.errors import StoreError
from dspy_service_core.storage.store import NotFound, Store, StoredObject, artifact_folder, job_folder, open_store


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return open_store("memory:///" if request.param == "memory" else f"file://{tmp_path}/a store")


async def test_what_was_put_is_read_back_by_both_faces(store: Store) -> None:
    store.put("ns/jobs/1/result.json", b"one")
    await store.put_async("ns/jobs/1/other.json", b"two", durable=True)
    assert await store.get_async("ns/jobs/1/result.json") == b"one"
    assert store.get("ns/jobs/1/other.json") == b"two"


def test_a_put_replaces(store: Store) -> None:
    store.put("a", b"long content")
    store.put("a", b"short", durable=True)
    assert store.get("a") == b"short"


def test_pieces_are_streamed(store: Store) -> None:
    pieces = [os.urandom(1_000_000) for _ in range(11)]
    store.put("big", iter(pieces), durable=True)
    assert store.get("big") == b"".join(pieces)
    assert b"".join(store.pieces("big")) == b"".join(pieces)
    with pytest.raises(NotFound):
        list(store.pieces("none"))


SPANS: list[list[tuple[int, int]]] = [[(0, 3)], [(3, 4), (0, 1)], [(0, 10)], [(2, 5), (5, 9)]]


@pytest.mark.parametrize("spans", SPANS)
async def test_parts_are_read_alone(store: Store, spans: list[tuple[int, int]]) -> None:
    store.put("a", b"0123456789")
    assert await store.ranges_async("a", spans) == [b"0123456789"[start:end] for start, end in spans]
    with pytest.raises(NotFound):
        await store.ranges_async("none", spans)


def test_a_stream_that_breaks_leaves_what_was_there(store: Store) -> None:
    class Broken(Exception):
        pass

    def pieces() -> Iterator[bytes]:
        yield from [b"x" * 1_000_000] * 8
        raise Broken

    store.put("big", b"before")
    for key in ("big", "new"):
        with pytest.raises(Broken):
            store.put(key, pieces())
    assert store.files() == [StoredObject("big", 6)]
    assert store.get("big") == b"before"


def test_one_object_is_deleted_once_or_twice(store: Store) -> None:
    store.put("a/b", b"x")
    store.put("a/c", b"x")
    for _ in range(2):
        store.delete("a/b")
        store.delete("none/at/all")
    assert store.files() == [StoredObject("a/c", 1)]


async def test_what_is_missing_is_not_found(store: Store) -> None:
    store.put("a/b", b"")
    for key in ("nope", "a", "a/b/c"):
        with pytest.raises(NotFound):
            store.get(key)
        with pytest.raises(NotFound):
            await store.get_async(key)
        assert not store.exists(key)
        assert not await store.exists_async(key)
    assert store.exists("a/b")


async def test_listings(store: Store) -> None:
    for key, size in {"ns/jobs/b/logs/2": 2, "ns/jobs/a/x": 1, "ns/jobs/b/logs/1": 3, "ns/artifacts/a/y": 4}.items():
        store.put(key, b"x" * size)
    assert store.files("ns/jobs/b") == [StoredObject("ns/jobs/b/logs/1", 3), StoredObject("ns/jobs/b/logs/2", 2)]
    assert next(entry.key for entry in await store.files_async()) == "ns/artifacts/a/y"
    assert store.folders("ns/jobs") == ["a", "b"]
    assert await store.folders_async("ns") == ["artifacts", "jobs"]
    assert store.files("ns/jobs/none") == []
    assert store.folders("ns/none") == []


async def test_a_folder_is_deleted_with_all_below_it_and_nothing_beside_it(store: Store) -> None:
    for key in ("jobs/a/x", "jobs/a/logs/1", "jobs/ab/x"):
        store.put(key, b"x")
    store.delete_folder("jobs/a")
    await store.delete_folder_async("jobs/a")
    assert [entry.key for entry in store.files()] == ["jobs/ab/x"]


@pytest.mark.parametrize(
    "key", ["", "/a", "a/", "a//b", "..", "../a", "a/../b", "a/..", "./a", "a/.", "a#1", "a%2e", "a\\b", "a\nb", "ä"]
)
async def test_a_key_that_could_mean_something_else_is_refused(store: Store, key: str) -> None:
    with pytest.raises(StoreError, match="no key of a store"):
        store.get(key)
    with pytest.raises(StoreError, match="no key of a store"):
        await store.put_async(key, b"x")
    with pytest.raises(StoreError, match="no key of a store"):
        store.delete_folder(key)
    with pytest.raises(StoreError, match="no key of a store"):
        store.delete(key)


def test_names_with_dots_are_keys(store: Store) -> None:
    store.put("..a/...", b"x")
    assert store.get("..a/...") == b"x"


def test_what_a_killed_put_left_is_neither_listed_nor_in_the_way(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}")
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "a#1").write_bytes(b"half")
    store.put("jobs/a", b"whole")
    assert store.files() == [StoredObject("jobs/a", 5)]
    store.delete_folder("jobs")
    assert not (tmp_path / "jobs").exists()


def test_readers_never_see_a_part_of_a_put(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}")
    versions = [bytes([65 + i]) * 200_000 for i in range(8)]
    store.put("a", versions[0])
    seen: list[bytes] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.append(store.get("a"))

    reader = threading.Thread(target=read)
    reader.start()
    for version in versions * 5:
        store.put("a", version)
    done.set()
    reader.join()
    assert set(seen) <= set(versions)


def test_a_broken_folder_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="cannot open"):
        open_store(f"file://{tmp_path}/file/below")
    store = open_store(f"file://{tmp_path}")
    with pytest.raises(StoreError, match="cannot write 'file/x' in the store"):
        store.put("file/x", b"")


@pytest.mark.parametrize(
    "url", ["http://x/y", "/plain", "s3://KEY:canary-secret@bucket/p", "s3://bucket/p?sig=canary-secret", "az://c"]
)
def test_a_url_that_cannot_be_used_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        open_store(url)
    assert "canary-secret" not in str(caught.value)


class Refusing(BaseHTTPRequestHandler):
    """An object store that fails and repeats what it was sent."""

    def answer(self) -> None:
        body = f"<Error><Code>AccessDenied</Code><Message>{self.path} {self.headers}</Message></Error>".encode()
        self.send_response(404 if "missing" in self.path else 403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def refusing() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Refusing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


REMOTE_CALLS: list[Callable[[Store], object]] = [
    lambda store: store.put("a", b"x"),
    lambda store: store.get("a"),
    lambda store: store.files("a"),
    lambda store: store.folders("a"),
    lambda store: store.exists("a"),
    lambda store: asyncio.run(store.get_async("a")),
    lambda store: asyncio.run(store.put_async("a", b"x")),
]


@pytest.mark.parametrize("call", REMOTE_CALLS)
def test_errors_of_an_object_store_hold_no_credentials(refusing: str, call: Callable[[Store], object]) -> None:
    store = open_store("s3://bucket/prefix", s3_options(refusing))
    with pytest.raises(StoreError) as caught:
        call(store)
    assert "canary-secret" not in str(caught.value) + repr(caught.value.__cause__)
    assert caught.value.__suppress_context__


def test_a_missing_object_of_an_object_store_is_not_found(refusing: str) -> None:
    store = open_store("s3://bucket/prefix", s3_options(refusing))
    with pytest.raises(NotFound):
        store.get("missing")
    assert not store.exists("missing")


def s3_options(endpoint: str) -> dict[str, str]:
    return {
        "aws_endpoint_url": endpoint,
        "aws_access_key_id": "canary-access",
        "aws_secret_access_key": "canary-secret",
        "aws_session_token": "canary-secret-token",
        "aws_region": "us-east-1",
    }


def test_folders_of_a_job() -> None:
    assert job_folder("team-a", "1") == "team-a/jobs/1"
    assert artifact_folder("team-a", "1") == "team-a/artifacts/1"


def test_pydantic_is_not_imported() -> None:
    code = "import sys, dspy_service_core.storage.segment_writer; print('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
