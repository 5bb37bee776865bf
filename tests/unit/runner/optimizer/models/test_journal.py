"""The journal is dspy's cache and a file: what was answered is found again, by this attempt and by the next."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from dspy.clients.cache import Cache
from pydantic import BaseModel

from dspy_service_runner.optimizer.models.journal import JournalCache
from dspy_service_runner.optimizer.outbox import AppendFile

REQUEST = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "temperature": 0.7, "api_key": "secret"}
IGNORED = ["api_key"]


class Choice(BaseModel):
    text: str


class SdkResponse(BaseModel):
    """As LiteLLM answers: read by attribute."""

    choices: list[Choice]
    usage: dict[str, int]


def journal(folder: Path, earlier: Path | None = None) -> JournalCache:
    folder.mkdir(exist_ok=True)
    return JournalCache(earlier or folder / "none", AppendFile(folder / "calls.jsonl"))


@pytest.mark.parametrize("value", [{"_dspy_format": "x", "outputs": ["a"]}, ["a", "b"], "text", 3])
def test_an_answer_is_found_again_by_this_and_the_next_attempt(value: Any, tmp_path: Path) -> None:
    first = journal(tmp_path / "a")
    assert first.get(REQUEST, IGNORED) is None
    assert not first.was_hit()
    first.put(REQUEST, value, IGNORED)
    second = journal(tmp_path / "b", tmp_path / "a" / "calls.jsonl")

    for cache in (first, second):
        assert cache.get(REQUEST | {"api_key": "another"}, IGNORED) == value
        assert cache.was_hit()
        assert cache.get(REQUEST | {"temperature": 0.8}, IGNORED) is None
        assert cache.get(REQUEST | {"rollout_id": 1}, IGNORED) is None
    assert (tmp_path / "b" / "calls.jsonl").read_bytes() == b"", "an answer is written once"


def test_an_sdk_s_response_is_read_by_attribute_again(tmp_path: Path) -> None:
    journal(tmp_path / "a").put(REQUEST, SdkResponse(choices=[Choice(text="hello")], usage={"total": 1}), IGNORED)
    found = journal(tmp_path / "b", tmp_path / "a" / "calls.jsonl").get(REQUEST, IGNORED)
    assert found.choices[0].text == "hello"
    assert not hasattr(found, "nothing")


def test_what_is_no_plain_data_stays_in_memory(tmp_path: Path) -> None:
    cache = journal(tmp_path / "a")
    cache.put(REQUEST, {1, 2}, IGNORED)
    assert cache.get(REQUEST, IGNORED) == {1, 2}
    assert cache.size == 0


def test_a_cut_line_and_rubbish_are_skipped(tmp_path: Path) -> None:
    first = journal(tmp_path / "a")
    first.put(REQUEST, "kept", IGNORED)
    path = tmp_path / "a" / "calls.jsonl"
    whole = path.read_bytes()
    path.write_bytes(b"rubbish\n" + b'{"key":"' + b"z" * 64 + b'"}\n' + whole + whole[:50])

    second = journal(tmp_path / "b", path)

    assert second.size == 1
    assert second.get(REQUEST, IGNORED) == "kept"


@pytest.mark.parametrize("room", [0, 10])
def test_a_full_disk_costs_the_journal_alone(tmp_path: Path, room: int) -> None:
    file = AppendFile(tmp_path / "calls.jsonl")
    cache = JournalCache(tmp_path / "none", file)
    with _room_for(room):
        cache.put(REQUEST, "answer", IGNORED)
    assert cache.get(REQUEST, IGNORED) == "answer"
    assert (tmp_path / "calls.jsonl").read_bytes() == b""


@contextmanager
def _room_for(count: int) -> Iterator[None]:
    """Files of this process may grow to so many bytes: the kernel then writes less, or refuses, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_keys_are_dspy_s_own(tmp_path: Path) -> None:
    cache = journal(tmp_path / "a")
    cache.put(REQUEST, "x", IGNORED)
    plain = Cache(enable_disk_cache=False, enable_memory_cache=True, disk_cache_dir=None)
    assert plain.cache_key(REQUEST, IGNORED).encode() in (tmp_path / "a" / "calls.jsonl").read_bytes()
