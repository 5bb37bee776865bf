import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from dspy_service_runner.reporter.streams import tail as tail_module
from dspy_service_runner.reporter.streams.out_folder import OutFolder
from dspy_service_runner.reporter.streams.tail import CHUNK, MAX_LINE, MAX_REPLACEMENTS, MAX_SCAN, Line, Tail


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x"


@pytest.fixture
def tail(tmp_path: Path) -> Iterator[Tail]:
    folder = OutFolder.open(tmp_path)
    yield Tail(folder, "x")
    folder.close()


def append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def read_all(tail: Tail) -> list[Line]:
    lines: list[Line] = []
    while more := tail.read():
        lines += more
    return lines


def contents(lines: list[Line]) -> list[bytes | None]:
    return [line.content for line in lines]


def test_whole_lines_alone(tail: Tail, path: Path) -> None:
    assert tail.read() == []
    append(path, b"one\ntw")
    assert tail.read() == [Line(b"one", 3, 4)]
    assert tail.read() == []
    append(path, b"o\n\nthree\n")
    assert tail.read() == [Line(b"two", 3, 8), Line(b"three", 5, 15)]
    assert [line.begin for line in (Line(b"two", 3, 8),)] == [4]
    assert tail.offset == 15


def test_reading_goes_on_at_an_offset(tail: Tail, path: Path) -> None:
    append(path, b"one\ntwo\n")
    again = Tail(tail.folder, "x", offset=4)
    assert contents(read_all(again)) == [b"two"]
    assert again.replacements == 0


def test_many_lines_come_in_portions(tail: Tail, path: Path) -> None:
    lines = [b"%06d" % n * 20 for n in range(20_000)]
    append(path, b"\n".join(lines) + b"\n")
    assert len(tail.read()) < len(lines)
    tail = Tail(tail.folder, "x")
    assert contents(read_all(tail)) == lines


def test_blank_lines_hold_nothing_up(tail: Tail, path: Path) -> None:
    append(path, b"\n" * (3 * CHUNK) + b"end\n")
    seen: list[bytes | None] = []
    for _ in range(10):
        seen += contents(tail.read())
    assert seen == [b"end"]


def test_a_line_that_is_too_long_is_passed_over(tail: Tail, path: Path) -> None:
    append(path, b"a\n" + b"x" * (3 * MAX_LINE) + b"\nb\n")
    assert read_all(tail) == [
        Line(b"a", 1, 2),
        Line(None, 3 * MAX_LINE, 3 * MAX_LINE + 3),
        Line(b"b", 1, 3 * MAX_LINE + 5),
    ]


def test_a_long_line_may_grow_slowly(tail: Tail, path: Path) -> None:
    seen: list[Line] = []
    for _ in range(10):
        append(path, b"x" * (MAX_LINE // 4))
        seen += read_all(tail)
    assert seen == []
    append(path, b"\nb\n")
    assert contents(read_all(tail)) == [None, b"b"]


def test_the_longest_line_that_is_taken(tail: Tail, path: Path) -> None:
    append(path, b"x" * (MAX_LINE - 1) + b"\nb\n")
    assert contents(read_all(tail)) == [b"x" * (MAX_LINE - 1), b"b"]


def test_a_huge_sparse_file_is_given_up(tail: Tail, path: Path) -> None:
    append(path, b"a\n")
    os.truncate(path, 1 << 40)
    assert contents(tail.read()) == [b"a"]
    assert read_all(tail) == []
    assert tail.given_up
    assert tail._scanned < 2 * MAX_SCAN


def test_a_file_that_shrank_is_read_from_its_start(tail: Tail, path: Path) -> None:
    append(path, b"one\ntwo\n")
    read_all(tail)
    path.write_bytes(b"new\n")
    assert contents(read_all(tail)) == [b"new"]
    assert tail.replacements == 1


def test_a_file_that_was_replaced_is_read_from_its_start(tail: Tail, path: Path) -> None:
    append(path, b"one\n")
    read_all(tail)
    other = path.with_name("y")
    other.write_bytes(b"longer than before\n")
    other.rename(path)
    assert contents(read_all(tail)) == [b"longer than before"]
    assert tail.replacements == 1


def test_a_file_that_is_replaced_for_ever_is_given_up(tail: Tail, path: Path) -> None:
    seen: list[bytes | None] = []
    for n in range(3 * MAX_REPLACEMENTS):
        other = path.with_name("y")
        other.write_bytes(b"%d\n" % n)
        other.rename(path)
        seen += contents(read_all(tail))
    assert tail.given_up
    assert len(seen) <= MAX_REPLACEMENTS + 2


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_what_is_no_regular_file_is_not_followed(tail: Tail, path: Path, kind: str) -> None:
    outside = path.with_name("outside")
    outside.write_bytes(b"secret\n")
    {"link": lambda: path.symlink_to(outside), "fifo": lambda: os.mkfifo(path), "folder": path.mkdir}[kind]()
    assert tail.read() == []
    assert tail.offset == 0


@settings(max_examples=60)
@given(
    st.lists(st.binary(max_size=12).map(lambda b: b.replace(b"\n", b"")), max_size=30),
    st.lists(st.integers(1, 40), max_size=60),
)
def test_however_it_is_written_every_line_comes_once(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], cuts: list[int]
) -> None:
    path = tmp_path_factory.mktemp("tail") / "x"
    folder = OutFolder.open(path.parent)
    tail, seen = Tail(folder, "x"), list[bytes | None]()
    content = b"".join(line + b"\n" for line in lines)
    for cut in [*cuts, len(content)]:
        append(path, content[:cut])
        content = content[cut:]
        seen += contents(tail.read())
        tail = Tail(folder, "x", offset=tail.offset)
    seen += contents(read_all(tail))
    folder.close()
    assert seen == [line for line in lines if line]


def test_the_limits_fit_together() -> None:
    assert tail_module.CHUNK < tail_module.MAX_LINE < tail_module.MAX_SCAN
