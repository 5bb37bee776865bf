import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dspy_service_core.storage.store import Store, open_store
from dspy_service_runner.redaction import Redactor
from dspy_service_runner.reporter.artifact.checkpoint import MAX_DEPTH, Checkpoint, restore_checkpoint
from dspy_service_runner.reporter.streams.out_folder import OutFolder

KEY = "sk-canary-0123456789"
LIMIT = 1000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "out" / "checkpoint"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def store() -> Store:
    return open_store("memory:///")


@pytest.fixture
def checkpoint(folder: Path, store: Store) -> Iterator[Checkpoint]:
    out = OutFolder.open(folder.parent)
    yield Checkpoint(out, store, Redactor([KEY]), LIMIT)
    out.close()


def keys(store: Store) -> list[str]:
    return [entry.key for entry in store.files()]


def test_there_and_back(folder: Path, store: Store, checkpoint: Checkpoint, tmp_path: Path) -> None:
    (folder / "state.bin").write_bytes(b"\x00state")
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "x.json").write_bytes(b"{}")
    checkpoint.sync()
    restore_checkpoint(store, tmp_path / "in")
    assert (tmp_path / "in" / "checkpoint" / "state.bin").read_bytes() == b"\x00state"
    assert (tmp_path / "in" / "checkpoint" / "deep" / "er" / "x.json").read_bytes() == b"{}"


def test_without_a_checkpoint_the_folder_is_empty(store: Store, tmp_path: Path) -> None:
    restore_checkpoint(store, tmp_path / "in")
    assert list((tmp_path / "in" / "checkpoint").iterdir()) == []


def test_only_what_changed_is_uploaded(folder: Path, store: Store, checkpoint: Checkpoint) -> None:
    (folder / "a").write_bytes(b"1")
    checkpoint.sync()
    store.put("checkpoint/a", b"untouched")
    checkpoint.sync()
    assert store.get("checkpoint/a") == b"untouched"
    (folder / "a").write_bytes(b"22")
    checkpoint.sync()
    assert store.get("checkpoint/a") == b"22"


def test_what_was_uploaded_and_is_gone_goes_and_an_earlier_attempts_stays(
    folder: Path, store: Store, checkpoint: Checkpoint
) -> None:
    store.put("checkpoint/earlier", b"x")
    (folder / "a").write_bytes(b"1")
    checkpoint.sync()
    (folder / "a").unlink()
    checkpoint.sync()
    assert keys(store) == ["checkpoint/earlier"]


def test_hostile_files_are_passed_over(folder: Path, store: Store, checkpoint: Checkpoint) -> None:
    (folder / "good").write_bytes(b"x")
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "links").symlink_to("/etc")
    os.mkfifo(folder / "fifo")
    for name in ("a b", "a#1", ".hidden", "ü", "-x", "x" * 200, "a%2e"):
        (folder / name).write_bytes(b"x")
    deep = folder
    for _ in range(MAX_DEPTH + 3):
        deep = deep / "d"
        deep.mkdir()
        (deep / "f").write_bytes(b"x")
    checkpoint.sync()
    assert [key for key in keys(store) if "/d/" not in key] == ["checkpoint/good"]
    assert len([key for key in keys(store) if "/d/" in key]) == MAX_DEPTH - 1


def test_together_they_are_no_larger_than_the_limit(folder: Path, store: Store, checkpoint: Checkpoint) -> None:
    for name in "abc":
        (folder / name).write_bytes(b"x" * 450)
    with (folder / "huge").open("wb") as file:
        file.truncate(1 << 40)
    checkpoint.sync()
    assert keys(store) == ["checkpoint/a", "checkpoint/b"]


def test_a_file_that_holds_a_key_is_not_stored(folder: Path, store: Store, checkpoint: Checkpoint) -> None:
    (folder / "a").write_bytes(b"\x80" + KEY.encode())
    (folder / "b").write_bytes(b"x")
    checkpoint.sync()
    checkpoint.sync()
    assert keys(store) == ["checkpoint/b"]


def test_beside_everything_else(folder: Path, store: Store, checkpoint: Checkpoint) -> None:
    (folder / "a").write_bytes(b"1")
    checkpoint.sync_aside()
    checkpoint.settle()
    assert keys(store) == ["checkpoint/a"]
