"""What is told when a job changes: to each who listens, at their pace, and to nobody who has left."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress

import pytest

from dspy_service_api.jobs.cache import JobCache
from dspy_service_api.jobs.changes import JobChange, Listener, Missed
from job_versions import version


def told(listener: Listener) -> list[JobChange | Missed]:
    """What it would hear without waiting."""
    heard: list[JobChange | Missed] = []
    while True:
        hearing = listener.next()
        try:
            hearing.send(None)
        except StopIteration as done:
            heard.append(done.value)
        else:
            hearing.close()
            return heard


def versions(listener: Listener) -> list[str]:
    """`name:version before>version after` of each change, `missed` where some were lost."""
    return [_words(change) for change in told(listener)]


def _words(change: JobChange | Missed) -> str:
    if isinstance(change, Missed):
        return "missed"
    before, after = change.before, change.after
    job = after or before
    assert job is not None
    return f"{job.name}:{before.version if before else ''}>{after.version if after else ''}"


async def test_everybody_hears_of_what_they_listen_to() -> None:
    cache = JobCache()
    with cache.changes.listen() as to_all, cache.changes.listen("a-uid") as to_a, cache.changes.listen("a-uid") as also:
        cache.upsert(version("a", "a-uid", 1))
        cache.upsert(version("b", "b-uid", 2))
        cache.upsert(version("a", "a-uid", 3))
        cache.remove(version("a", "a-uid", 4))
        assert versions(to_all) == ["a:>1", "b:>2", "a:1>3", "a:3>"]
        assert versions(to_a) == versions(also) == ["a:>1", "a:1>3", "a:3>"]


@pytest.mark.parametrize(
    ("news", "heard"),
    [
        pytest.param(lambda cache: cache.upsert(version("a", "1", 5)), [], id="a list names all again"),
        pytest.param(lambda cache: cache.upsert(version("a", "1", 4)), [], id="late news"),
        pytest.param(lambda cache: cache.forget("a", "1"), ["a:5>"], id="deleted here"),
        pytest.param(lambda cache: cache.forget("a", "2"), [], id="another job of that name deleted"),
        pytest.param(lambda cache: cache.retain(frozenset()), ["a:5>"], id="gone while nobody watched"),
        pytest.param(lambda cache: cache.upsert(version("a", "2", 6)), ["a:5>", "a:>6"], id="a new job of its name"),
    ],
)
async def test_only_what_changed_is_told(news: Callable[[JobCache], None], heard: list[str]) -> None:
    cache = JobCache()
    cache.upsert(version("a", "1", 5))
    with cache.changes.listen() as listener:
        news(cache)
        assert versions(listener) == heard


async def test_who_is_too_slow_is_told_that_it_missed_something() -> None:
    cache = JobCache()
    with cache.changes.listen(buffer=3) as slow, cache.changes.listen(buffer=10) as quick:
        for number in range(1, 4):
            cache.upsert(version("a", "1", number))
        cache.upsert(version("a", "1", 4))
        cache.upsert(version("a", "1", 5))  # whoever reads anew after the word of it sees this one as well
        assert versions(slow) == ["missed"]
        assert versions(quick) == ["a:>1", "a:1>2", "a:2>3", "a:3>4", "a:4>5"]
        cache.upsert(version("a", "1", 6))
        assert versions(slow) == versions(quick) == ["a:5>6"]


async def test_a_listener_waits_for_news_and_loses_none_when_its_patience_ends() -> None:
    cache = JobCache()
    with cache.changes.listen() as listener:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await listener.next()
        hearing = asyncio.ensure_future(listener.next())
        await asyncio.sleep(0)
        assert not hearing.done()
        cache.upsert(version("a", "1", 1))
        assert _words(await hearing) == "a:>1"


async def test_nobody_hears_after_they_left() -> None:
    cache = JobCache()
    with cache.changes.listen("1") as stays:
        with suppress(KeyError), cache.changes.listen("1") as leaves:
            cache.upsert(version("a", "1", 1))
            raise KeyError
        cache.upsert(version("a", "1", 2))
        assert versions(leaves) == ["a:>1"]
        assert versions(stays) == ["a:>1", "a:1>2"]


async def test_a_change_costs_those_alone_who_listen_to_its_job() -> None:
    cache, asked = JobCache(), Counter[str]()

    def counted(name: str) -> Callable[[JobChange], bool]:
        def wants(_: JobChange) -> bool:
            asked[name] += 1
            return True

        return wants

    with ExitStack() as stack:
        to_all = stack.enter_context(cache.changes.listen(wants=counted("all"), buffer=2000))
        for n in range(1000):
            stack.enter_context(cache.changes.listen(str(n), wants=counted(str(n))))
        for n in range(10):
            cache.upsert(version(f"job-{n}", str(n), n + 1))
        assert asked == {"all": 10} | {str(n): 1 for n in range(10)}
        assert len(told(to_all)) == 10
        for n in range(1000):
            cache.upsert(version(f"job-{n}", str(n), n + 2000))
        assert asked == {"all": 1010} | {str(n): 2 if n < 10 else 1 for n in range(1000)}


async def test_a_thousand_listeners_of_one_job_all_hear_of_it() -> None:
    cache = JobCache()
    with ExitStack() as stack:
        listeners = [stack.enter_context(cache.changes.listen("1")) for _ in range(1000)]
        hearing = [asyncio.ensure_future(listener.next()) for listener in listeners]
        await asyncio.sleep(0)
        cache.upsert(version("a", "1", 1))
        assert {_words(change) for change in await asyncio.gather(*hearing)} == {"a:>1"}
    with cache.changes.listen("1") as last:
        cache.upsert(version("a", "1", 2))
        assert all(told(listener) == [] for listener in listeners)
        assert versions(last) == ["a:1>2"]
