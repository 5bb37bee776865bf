import asyncio
from collections.abc import Awaitable, Callable

import pytest

from dspy_service_operator.reconcile.work_queue import WorkQueue
from waiting import until

Handle = Callable[[str], Awaitable[float | None]]


class Recorder:
    """Handles keys as the test says: `gate` holds a pass, `answers` are what it returns or raises."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.at_work: list[str] = []
        self.answers: dict[str, list[float | Exception | None]] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.most_of_one = 0

    async def __call__(self, key: str) -> float | None:
        self.at_work.append(key)
        self.most_of_one = max(self.most_of_one, self.at_work.count(key))
        await self.gate.wait()
        self.at_work.remove(key)
        self.seen.append(key)
        answer = self.answers.get(key, []).pop(0) if self.answers.get(key) else None
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
async def handler():
    return Recorder()


@pytest.fixture
async def queue(handler):
    made: WorkQueue[str] = WorkQueue(handler)
    task = asyncio.create_task(made.run(4))
    yield made
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def seen(handler: Recorder, *keys: str) -> None:
    async def enough() -> bool:
        return sorted(handler.seen) == sorted(keys)

    await until(enough, what=f"{keys}, not {handler.seen}")


async def at_work(handler: Recorder, count: int) -> None:
    async def enough() -> bool:
        return len(handler.at_work) == count

    await until(enough)


async def test_a_key_that_waits_is_not_added_twice(handler, queue):
    for key in ("a", "a", "b", "a"):
        queue.add(key)
    await seen(handler, "a", "b")
    assert queue.idle


async def test_what_comes_during_a_pass_makes_another_and_never_two_at_once(handler, queue):
    handler.gate.clear()
    queue.add("a")
    await at_work(handler, 1)
    queue.add("a")
    queue.add("a")
    handler.gate.set()
    await seen(handler, "a", "a")
    assert handler.most_of_one == 1


async def test_other_keys_do_not_wait_for_a_slow_one(handler, queue):
    handler.gate.clear()
    for key in ("a", "b", "c"):
        queue.add(key)
    await at_work(handler, 3)
    handler.gate.set()
    await seen(handler, "a", "b", "c")


async def test_a_pass_says_when_it_is_due_again(handler, queue):
    handler.answers["a"] = [0.0, 0.01, None]
    queue.add("a")
    await seen(handler, "a", "a", "a")


async def test_a_pass_that_fails_is_tried_again(handler, queue):
    handler.answers["a"] = [RuntimeError("no"), RuntimeError("no"), None]
    queue.add("a")
    await seen(handler, "a", "a", "a")
    assert queue.idle


async def test_the_earliest_of_several_wishes_counts(handler, queue):
    queue.add_after("a", 3600)
    queue.add_after("a", 0.01)
    queue.add_after("a", 1800)
    await seen(handler, "a")


async def test_a_pass_makes_an_old_wish_void(handler, queue):
    queue.add_after("a", 0.05)
    queue.add("a")
    queue.add_after("b", 0.1)
    await seen(handler, "a", "b")
