import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dspy_service_runner.reporter.streams.out_folder import OutFolder, TooLarge


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[OutFolder]:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"secret")
    (tmp_path / "out").mkdir()
    opened = OutFolder.open(tmp_path / "out")
    yield opened
    opened.close()


def device(path: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero
    except PermissionError:
        pytest.skip("devices cannot be made here")


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as unix:
        before = Path.cwd()
        os.chdir(path.parent)  # the names of sockets are short
        unix.bind(path.name)
        os.chdir(before)


ZOO: dict[str, Callable[[Path], object]] = {
    "a link to a file": lambda path: path.symlink_to("../outside/secret"),
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a folder": lambda path: path.mkdir(),
    "a FIFO": os.mkfifo,
    "a socket": bind,
    "a device": device,
    "a second name": lambda path: path.hardlink_to(path.parent.parent / "outside" / "secret"),
    "nothing": lambda path: None,
}


@pytest.mark.parametrize("make", ZOO.values(), ids=ZOO.keys())
def test_only_regular_files_are_read(folder: OutFolder, tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "out" / "x")
    assert folder.look("x") is None
    assert folder.read("x", 100) is None
    with folder.opened("x") as file:
        assert file is None
    files, _ = folder.names()
    assert "x" not in files or os.stat(tmp_path / "out" / "x").st_nlink > 1


def test_a_file_that_may_not_be_read_is_none(folder: OutFolder, tmp_path: Path) -> None:
    (tmp_path / "out" / "x").write_bytes(b"x")
    (tmp_path / "out" / "x").chmod(0)
    assert folder.read("x", 100) == (b"x" if os.geteuid() == 0 else None)


def test_a_regular_file(folder: OutFolder, tmp_path: Path) -> None:
    (tmp_path / "out" / "x").write_bytes(b"content")
    assert folder.read("x", 7) == b"content"
    with pytest.raises(TooLarge):
        folder.read("x", 6)


def test_a_huge_sparse_file_costs_no_more_than_the_limit(folder: OutFolder, tmp_path: Path) -> None:
    with (tmp_path / "out" / "x").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(TooLarge):
        folder.read("x", 1000)


def test_folders_are_entered_by_no_link(folder: OutFolder, tmp_path: Path) -> None:
    (tmp_path / "out" / "link").symlink_to("../outside")
    (tmp_path / "out" / "real").mkdir()
    (tmp_path / "out" / "real" / "up").symlink_to("..")
    (tmp_path / "out" / "real" / "file").write_bytes(b"x")
    for name in ("link", "none", "real/up"):
        with folder.below(name) as below:
            assert below is None
    with folder.below("real") as below:
        assert below is not None
        assert below.names() == (["file"], [])
        assert below.read("file", 9) == b"x"
    assert folder.names() == ([], ["real"])


def test_the_out_folder_itself_is_no_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(OSError):
        OutFolder.open(tmp_path / "link")
