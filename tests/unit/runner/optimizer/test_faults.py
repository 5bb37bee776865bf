"""Faults around the optimizer: a full disk, and a model server that comes back."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from optimizer_job import OptimizerForge, make_folders, make_spec, next_attempt
from scripted_lm import ScriptedServer

FILL = """
import pathlib
def metric(gold, pred):
    try:
        pathlib.Path({path!r}).write_bytes(b"x" * 10_000_000)
    except OSError:
        pass
    return gold.label == pred.label
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system needs privileges")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_said_by_the_result(forge: OptimizerForge, server: ScriptedServer, small_disk: Path) -> None:
    fill = FILL.format(path=str(small_disk / "big"))
    folders = make_folders(small_disk / "job", make_spec(server.url, metric={"code": fill}))

    result = forge.run(folders)

    assert (result["outcome"], result["reason"]) == ("Failed", "DiskFull")
    assert "No space left on device" in result["message"]


def test_failing_now_and_then_is_retried(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    server.fail_every(3, "429")
    result = forge.run(make_folders(tmp_path / "job", make_spec(server.url)))
    assert result["outcome"] == "Succeeded"
    assert result["details"]["model_errors"] == 0


def test_a_run_that_lost_its_model_goes_on_when_it_is_tried_again(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    server.fail_from(40, "refuse")
    optimizer = {"name": "dspy.BootstrapRS", "kwargs": {"num_candidate_programs": 6}}
    models = {"default": {"name": "openai/scripted", "baseUrl": server.url, "extra": {"num_retries": 0}}}
    first = make_folders(tmp_path / "first", make_spec(server.url, optimizer=optimizer, models=models))
    failed = forge.run(first)
    assert (failed["outcome"], failed["reason"]) == ("Failed", "ModelUnreachable")

    server.reset()
    second = forge.run(next_attempt(first, tmp_path / "second"))

    assert second["outcome"] == "Succeeded"
    assert second["usage"]["cachedCalls"] >= 35
