"""A data folder is closed to everybody else at every start, and nothing outside of it is touched."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from dspy_service_local.up.private_folder import FolderOfAnother, take


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """As an earlier version, or an unpacked backup, has left it."""
    folder = tmp_path / "data"
    for name, bits in {
        "cluster.db": 0o644,
        "cluster.db-wal": 0o666,
        "pki/server.pem": 0o640,
        "volumes/b/c/log": 0o604,
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("kept")
        path.chmod(bits)
    for path in (folder, folder / "pki", folder / "volumes", folder / "volumes/b"):
        path.chmod(0o755)
    return folder


def test_a_new_one_is_its_owners(tmp_path: Path) -> None:
    take(tmp_path / "x" / "data")
    assert mode(tmp_path / "x" / "data") == 0o700


def test_all_that_is_in_an_old_one_is_closed(old: Path) -> None:
    take(old)
    assert mode(old) == 0o700
    for path in old.rglob("*"):
        assert mode(path) == (0o700 if path.is_dir() else 0o600), path
    assert (old / "volumes/b/c/log").read_text() == "kept"
    take(old)
    assert mode(old) == 0o700


def test_the_owner_keeps_what_was_his(old: Path) -> None:
    key, tool = old / "pki" / "ca.crt", old / "volumes" / "tool"
    for path, bits in ((key, 0o444), (tool, 0o4755)):
        path.write_text("")
        path.chmod(bits)
    take(old)
    assert (mode(key), mode(tool)) == (0o400, 0o700)


def test_what_is_not_of_the_service_keeps_its_modes_below_the_closed_folder(old: Path) -> None:
    """Somebody gives the home folder."""
    (old / "notes").write_text("")
    take(old)
    assert (mode(old), mode(old / "notes")) == (0o700, 0o644)


def test_nothing_is_followed_out_of_it(old: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o755)
    (outside / "file").write_text("")
    for name, target in {"logs": outside, "volumes/x": outside / "file", "kubeconfig": outside / "file"}.items():
        (old / name).symlink_to(target)
    take(old)
    assert (mode(outside), mode(outside / "file")) == (0o755, 0o644)


def test_what_is_no_file_holds_nobody_up(old: Path) -> None:
    os.mkfifo(old / "volumes" / "fifo", 0o666)
    take(old)
    assert mode(old) == 0o700


def test_a_folder_that_is_a_link_of_ones_own_is_taken_where_it_leads(old: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(old)
    take(tmp_path / "link")
    assert mode(old) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_another_users_is_refused_and_left_alone(old: Path) -> None:
    os.chown(old, 60123, 60123)
    with pytest.raises(FolderOfAnother, match=r"belongs to user 60123.*--data-dir"):
        take(old)
    assert (mode(old), mode(old / "cluster.db")) == (0o755, 0o644)


@pytest.mark.skipif(os.geteuid() == 0, reason="everything is root's to take")
def test_the_systems_own_folders_are_refused() -> None:
    with pytest.raises(FolderOfAnother, match="belongs to root"):
        take(Path("/"))
