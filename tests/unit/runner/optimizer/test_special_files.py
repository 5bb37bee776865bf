"""User code may put a FIFO, which nobody reads, wherever the run writes next: nothing may wait for a reader."""

import os
from pathlib import Path
from typing import Any

import pytest

from dspy_service_core.storage.pod_files import ARTIFACT_FILES
from dspy_service_runner.optimizer.outbox import AppendFile, Outbox, write_new
from optimizer_job import OptimizerForge, make_folders, make_spec
from scripted_lm import ScriptedServer

FIFOS = """
import contextlib, os
def metric(gold, pred):
    for name in {names!r}:
        path = os.path.join({out!r}, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with contextlib.suppress(OSError):
            os.unlink(path)
        with contextlib.suppress(OSError):
            os.mkfifo(path)
    return gold.label == pred.label
"""
OWN_FILES = (
    "logs.jsonl",
    "events.jsonl",
    "calls.jsonl",
    "progress.json",
    ".progress.json.tmp",
    "result.json",
    ".result.json.tmp",
    ".reserve",
    "checkpoint/best.json",
    ".checkpoint-best.json.tmp",
    *(f"artifact/{name}" for name in ARTIFACT_FILES if name != "rows.jsonl"),
)
GEPA_FILES = tuple(
    f"checkpoint/{name}"
    for name in ("gepa_state.bin", "gepa_state.bin.tmp", "run_log.json.tmp", "candidates.json.tmp", "run_log.txt")
)
GEPA = {"name": "gepa", "kwargs": {"max_metric_calls": 60}}


@pytest.mark.parametrize(
    ("names", "changes"), [(OWN_FILES, {}), (GEPA_FILES, {"optimizer": GEPA})], ids=["own files", "gepa's files"]
)
def test_a_run_ends_as_if_they_were_not_there(
    names: tuple[str, ...], changes: dict[str, Any], forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    metric = FIFOS.format(names=names, out=str(tmp_path / "job" / "out"))
    folders = make_folders(tmp_path / "job", make_spec(server.url, metric={"code": metric}, **changes))

    result = forge.run(folders)

    assert result["outcome"] == "Succeeded", result["message"]
    files = {path.name for path in (folders.out / "artifact").iterdir() if path.is_file()}
    assert files == {*ARTIFACT_FILES}


def test_lines_for_a_file_that_became_a_fifo_are_dropped(tmp_path: Path) -> None:
    file = AppendFile(tmp_path / "lines")
    descriptors = [int(name) for name in os.listdir("/proc/self/fd")]
    ours = [fd for fd in descriptors if fd > 2 and _same(fd, tmp_path / "lines")]
    (tmp_path / "lines").unlink()
    os.mkfifo(tmp_path / "lines")
    for descriptor in ours:
        os.close(descriptor)

    assert [file.append(b"x" * 65_536) for _ in range(3)] == [False, False, False]


def test_a_file_that_user_code_closed_and_replaced_goes_on_in_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    file = AppendFile(path)
    ours = [int(name) for name in os.listdir("/proc/self/fd") if int(name) > 2 and _same(int(name), path)]
    path.unlink()
    path.write_bytes(b"theirs\n")
    for descriptor in ours:
        os.close(descriptor)

    assert [file.append(b"one\n"), file.append(b"two\n")] == [True, True]

    assert path.read_bytes() == b"theirs\none\ntwo\n"
    assert file.size == path.stat().st_size
    assert len([name for name in os.listdir("/proc/self/fd") if _same(int(name), path)]) == 1


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("untouched")
    (tmp_path / "link").symlink_to(outside)

    write_new(tmp_path / "link", b"new")

    assert outside.read_text() == "untouched"
    assert (tmp_path / "link").read_bytes() == b"new"
    (tmp_path / "events.jsonl").symlink_to(outside)
    with pytest.raises(OSError, match="symbolic link"):
        Outbox(tmp_path)


def _same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.sameopenfile(descriptor, descriptor) and os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False
