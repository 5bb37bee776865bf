import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import orjson
import pytest
from hypothesis import given, settings, strategies as st

from dspy_service_core.errors import StoreError
from dspy_service_core.storage.segment_writer import SegmentWriter, recover
from dspy_service_core.storage.segments import EntryPage, after, newest, parse, segment_key, stream
from dspy_service_core.storage.store import Store, open_store

FOLDER = "jobs/1/logs"
SMALL = 60
"""A segment's size here, so that a handful of entries makes several."""


def entry(text: str) -> bytes:
    return orjson.dumps({"message": text})


def save(store: Store, writer: SegmentWriter) -> None:
    for segment in writer.unsaved():
        store.put(segment.key, segment.content)
        writer.saved(segment)


def filled(store: Store, count: int, *, attempt: int = 1) -> SegmentWriter:
    writer = recover(store, FOLDER, attempt, SMALL)
    for number in range(writer.following, writer.following + count):
        writer.append(entry(str(number)), to=number)
    save(store, writer)
    return writer


def messages(page: EntryPage) -> list[str]:
    return [item["message"] for item in orjson.loads(b"[%b]" % page.joined())]


@pytest.fixture
def store() -> Store:
    return open_store("memory:///")


async def test_the_format(store: Store) -> None:
    writer = SegmentWriter(FOLDER, attempt=2, first=7)
    assert writer.append(entry("a"), to=11) == 7
    assert writer.append(entry("b"), to=22) == 8
    save(store, writer)
    assert store.get(f"{FOLDER}/0000000007.jsonl") == (
        b'{"first":7,"attempt":2,"to":22,"count":2}\n{"message":"a"}\n{"message":"b"}\n'
    )


async def test_nothing_is_there_at_first(store: Store) -> None:
    assert await newest(store, FOLDER, 5) == EntryPage([])
    assert await after(store, FOLDER, 0, 5) == EntryPage([])
    assert list(stream(store, FOLDER)) == []


@pytest.mark.parametrize(("limit", "expected"), [(0, []), (1, [20]), (7, range(14, 21)), (99, range(1, 21))])
async def test_the_newest(store: Store, limit: int, expected: list[int]) -> None:
    filled(store, 20)
    page = await newest(store, FOLDER, limit)
    assert messages(page) == [str(n) for n in expected]
    assert page.last == (expected[-1] if expected else 0)


async def test_pages_carry_numbers_and_say_when_more_follows(store: Store) -> None:
    filled(store, 9)
    page = await after(store, FOLDER, 3, 4)
    assert orjson.loads(b"[%b]" % page.numbered()) == [{"n": n, "message": str(n)} for n in (4, 5, 6, 7)]
    assert (page.last, page.more) == (7, True)
    assert not (await after(store, FOLDER, 5, 4)).more
    assert await after(store, FOLDER, 9, 4) == EntryPage([])


@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_following_the_pages_reads_everything_once(store: Store, limit: int) -> None:
    filled(store, 23)
    seen: list[str] = []
    page = await after(store, FOLDER, 0, limit)
    seen += messages(page)
    while page.more:
        page = await after(store, FOLDER, page.last, limit)
        seen += messages(page)
    assert seen == [str(n) for n in range(1, 24)]


DAMAGES: list[tuple[str, Callable[[bytes], bytes], int]] = [
    ("empty", lambda content: b"", 3),
    ("no header", lambda content: content.split(b"\n", 1)[1], 3),
    ("cut within the header", lambda content: content[:10], 3),
    ("cut within the last entry", lambda content: content[:-3], 1),
    ("zeros", lambda content: b"\0" * len(content), 3),
]


@pytest.mark.parametrize(("damage", "missing"), [d[1:] for d in DAMAGES], ids=[d[0] for d in DAMAGES])
@pytest.mark.parametrize("first", [1, 4])
async def test_a_cut_segment_is_counted_and_the_rest_is_served(
    store: Store, damage: Callable[[bytes], bytes], missing: int, first: int
) -> None:
    writer = SegmentWriter(FOLDER, 1, segment_bytes=40)
    for number in range(1, 11):
        writer.append(entry(str(number)), to=number)
    save(store, writer)
    key = segment_key(FOLDER, first)
    store.put(key, damage(store.get(key)))
    lost = {first + 2} if missing == 1 else {first, first + 1, first + 2}
    whole = [str(n) for n in range(1, 11) if n not in lost]
    page = await newest(store, FOLDER, 100)
    assert (messages(page), page.missing) == (whole, missing)
    page = await after(store, FOLDER, 0, 100)
    assert (messages(page), page.missing) == (whole, missing)
    assert [orjson.loads(line)["message"] for _, line in stream(store, FOLDER)] == whole


async def test_a_lost_file_is_counted(store: Store) -> None:
    save(store, writer := SegmentWriter(FOLDER, 1, first=6))
    writer.append(entry("6"), to=1)
    save(store, writer)
    page = await newest(store, FOLDER, 10)
    assert (messages(page), page.missing, page.runs[0][0]) == (["6"], 5, 6)
    assert (await after(store, FOLDER, 3, 10)).missing == 2


async def test_what_a_superseded_attempt_still_wrote_is_not_read(store: Store) -> None:
    old = filled(store, 2)
    new = filled(store, 2, attempt=2)
    old.append(entry("late"), to=99)
    save(store, old)
    assert messages(await newest(store, FOLDER, 10)) == ["1", "2", "3", "4"]
    assert messages(await after(store, FOLDER, 0, 10)) == ["1", "2", "3", "4"]
    assert recover(store, FOLDER, 2, SMALL).following == new.following


def test_a_writer_goes_on_where_the_same_attempt_was(store: Store) -> None:
    before = filled(store, 8)
    again = recover(store, FOLDER, 1, SMALL)
    assert (again.following, again.to, again.stored, again.unsaved()) == (9, 8, 8, [])
    new = recover(store, FOLDER, 2, SMALL)
    assert (new.first, new.to, new.count) == (9, 0, 0)
    for writer in (before, again):
        writer.append(entry("next"), to=9)
    assert again.unsaved() == before.unsaved()


def test_other_files_in_the_folder_are_left_alone(store: Store) -> None:
    filled(store, 2)
    store.put(f"{FOLDER}/readme.txt", b"x")
    store.put(f"{FOLDER}/123.jsonl", b"x")
    assert recover(store, FOLDER, 1, SMALL).following == 3


def test_a_failing_store_loses_nothing(store: Store) -> None:
    writer = SegmentWriter(FOLDER, 1, segment_bytes=SMALL)
    for number in range(1, 21):
        writer.append(entry(str(number)), to=number)
    first, *_ = writer.unsaved()
    store.put(first.key, first.content)
    writer.saved(first)
    assert writer.stored == first.following - 1
    assert writer.backlog > 0
    save(store, writer)
    assert (writer.stored, writer.backlog, writer.unsaved()) == (20, 0, [])
    assert len(list(stream(store, FOLDER))) == 20


def test_bytes_of_all_attempts_are_counted(store: Store) -> None:
    one = filled(store, 3)
    two = recover(store, FOLDER, 2, SMALL)
    assert one.total_bytes < two.total_bytes
    assert recover(store, FOLDER, 2, SMALL).total_bytes == sum(item.size for item in store.files(FOLDER))


@given(st.binary(max_size=200))
def test_parsing_never_fails(content: bytes) -> None:
    parse(1, content)


@dataclass
class Model:
    """What a job's reporter does, on a store that may fail at any put; the source file outlives the reporter."""

    store: Store = field(default_factory=lambda: open_store("memory:///"))
    attempt: int = 1
    source: list[bytes] = field(default_factory=list)
    before: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.writer = recover(self.store, FOLDER, self.attempt, SMALL)

    def produce(self, size: int) -> None:
        self.source.append(entry(f"{self.attempt}.{len(self.source)}." + "x" * size))

    def read(self, count: int) -> None:
        for position in range(self.writer.to, min(self.writer.to + count, len(self.source))):
            self.writer.append(self.source[position], to=position + 1)

    def flush(self, puts: int) -> None:
        for segment in self.writer.unsaved()[:puts]:
            self.store.put(segment.key, segment.content)
            self.writer.saved(segment)

    def flush_unanswered(self) -> None:
        """The put took effect, the answer was lost."""
        for segment in self.writer.unsaved()[:1]:
            self.store.put(segment.key, segment.content)

    def tear(self, cut: int) -> None:
        """Power loss: the newest file is cut, and the same attempt's reporter mends it."""
        if files := self.store.files(FOLDER):
            content = self.store.get(files[-1].key)
            header = orjson.loads(content.split(b"\n", 1)[0])
            if header["attempt"] == self.attempt:
                self.store.put(files[-1].key, content[: max(len(content) - cut, 0)])
                self.restart()
                self.read(len(self.source))
                self.flush(10_000)

    def restart(self) -> None:
        self.writer = recover(self.store, FOLDER, self.attempt, SMALL)

    def next_attempt(self) -> None:
        self.before += self.source[: self.stored_of_this_attempt()]
        self.attempt, self.source = self.attempt + 1, []
        self.restart()

    def stored_of_this_attempt(self) -> int:
        return recover(self.store, FOLDER, self.attempt, SMALL).to

    def run(self, step: tuple[str, int]) -> None:
        name, argument = step
        {
            "produce": lambda: self.produce(argument),
            "read": lambda: self.read(argument),
            "flush": lambda: self.flush(argument),
            "unanswered": self.flush_unanswered,
            "tear": lambda: self.tear(argument),
            "restart": self.restart,
            "attempt": self.next_attempt,
        }[name]()


STEP = st.tuples(
    st.sampled_from(["produce", "produce", "produce", "read", "read", "flush", "flush"])
    | st.sampled_from(["unanswered", "tear", "restart", "attempt"]),
    st.integers(1, 30),
)


@settings(max_examples=300)
@given(st.lists(STEP, max_size=60))
def test_any_sequence_of_appends_crashes_and_recoveries_yields_every_entry_once_and_in_order(
    steps: list[tuple[str, int]],
) -> None:
    model = Model()
    for step in steps:
        model.run(step)
    model.restart()
    model.read(len(model.source))
    model.flush(10_000)
    expected = model.before + model.source
    assert list(stream(model.store, FOLDER)) == list(enumerate(expected, 1))
    assert list(stream(model.store, FOLDER, 3)) == list(enumerate(expected[3:], 4))
    page = asyncio.run(newest(model.store, FOLDER, len(expected) + 1))
    assert (page.joined(), page.missing) == (b",".join(expected), 0)
    page = asyncio.run(after(model.store, FOLDER, 0, len(expected) + 1))
    assert (page.joined(), page.missing, page.last) == (b",".join(expected), 0, len(expected))


def test_a_broken_store_is_said_by_the_reader(store: Store) -> None:
    with pytest.raises(StoreError):
        asyncio.run(newest(store, "../x", 1))
