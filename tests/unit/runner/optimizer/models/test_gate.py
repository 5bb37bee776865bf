"""Threads and tasks at the gate, beside models whose calls the test holds in its hands."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from dspy_service_runner.optimizer.failures import Interrupt, StopToken
from dspy_service_runner.optimizer.models.pace.gate import Gate
from dspy_service_runner.optimizer.models.pace.places import FIRST, Places, Sent
from dspy_service_runner.optimizer.models.pace.rate_limit import RateLimit
from waiting import wait_for


def nothing() -> None:
    pass


def limit() -> RateLimit:
    return RateLimit(30.0, Places(64))


def answer(gate: Gate, of: RateLimit) -> None:
    gate.leave(lambda now: of.answered(now, Sent(now, 1)))


def demand(*limits: RateLimit) -> int:
    return sum(each.demand for each in {id(each): each for each in limits}.values())


@contextmanager
def arrivals(gate: Gate, *limits: RateLimit) -> Iterator[list[int]]:
    """A thread for each, one after the other; the list has the numbers of those that were let through."""
    through: list[int] = []
    token = StopToken()

    def arrive(number: int, of: RateLimit) -> None:
        try:
            gate.enter(of, token.check)
        except Interrupt:
            return
        through.append(number)

    with ThreadPoolExecutor(len(limits)) as pool:
        for number, each in enumerate(limits):
            pool.submit(arrive, number, each)
            wait_for(lambda come=number + 1: demand(*limits) == come, what="an arrival")  # type: ignore[misc]
        try:
            yield through
        finally:
            token.stop()


def test_who_comes_first_goes_first() -> None:
    gate, model = Gate(64, time.monotonic), limit()
    with arrivals(gate, *[model] * (FIRST + 5)) as through:
        wait_for(lambda: len(through) == FIRST, what="the first")
        for number in range(5):
            answer(gate, model)
            wait_for(lambda seen=number: len(through) == FIRST + seen + 1, what="the next")  # type: ignore[misc]
        assert through[FIRST:] == list(range(FIRST, FIRST + 5))


def test_the_job_s_most_holds_for_all_models_together() -> None:
    gate, one, other = Gate(3, time.monotonic), limit(), limit()
    with arrivals(gate, one, other, one, other) as through:
        wait_for(lambda: len(through) == 3, what="the first three")
        assert gate.try_enter(other) is None
        answer(gate, one)
        wait_for(lambda: len(through) == 4, what="the fourth, of the other model")


def test_a_model_without_a_place_keeps_no_other_model_s_calls() -> None:
    gate, full, free = Gate(64, time.monotonic), limit(), limit()
    with arrivals(gate, *[full] * (FIRST + 2), free) as through:
        wait_for(lambda: FIRST + 2 in through, what="the call of the other model")
        assert len(through) == FIRST + 1


def test_a_stop_ends_the_waiting_and_leaves_no_trace() -> None:
    gate, model, token = Gate(1, time.monotonic), limit(), StopToken()
    gate.enter(model, token.check)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(gate.enter, model, token.check)
        wait_for(lambda: model.waiting == 1, what="the second call")
        token.stop()
        with pytest.raises(Interrupt):
            waiting.result(10)
    assert (model.out, model.waiting) == (1, 0)
    answer(gate, model)
    assert gate.try_enter(model) is not None


def test_time_opens_it_too() -> None:
    gate, model = Gate(64, time.monotonic), limit()
    sent = gate.enter(model, nothing)
    gate.leave(lambda now: model.refused(now, sent, 0.05, 900.0))
    assert gate.try_enter(model) is None
    assert gate.enter(model, nothing).at >= model.open_at


def test_tasks_wait_without_taking_the_threads_that_others_need() -> None:
    """LiteLLM reckons prices in the event loop's threads, of which there are few, while its call has a place."""

    async def run() -> int:
        gate, model = Gate(2, time.monotonic), limit()

        async def call() -> None:
            await gate.enter_async(model, nothing)
            await asyncio.to_thread(time.sleep, 0.001)
            answer(gate, model)

        async with asyncio.timeout(30):
            await asyncio.gather(*(call() for _ in range(100)))
        return model.out

    assert asyncio.run(run()) == 0


def test_a_cancelled_task_leaves_no_trace() -> None:
    async def run() -> RateLimit:
        gate, model = Gate(1, time.monotonic), limit()
        await gate.enter_async(model, nothing)
        waiting = asyncio.create_task(gate.enter_async(model, nothing))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return model

    model = asyncio.run(run())
    assert (model.out, model.waiting) == (1, 0)


def test_many_threads_never_pass_the_places() -> None:
    gate, model, lock = Gate(5, time.monotonic), limit(), threading.Lock()
    out, passed = 0, 0

    def call(_: int) -> None:
        nonlocal out, passed
        gate.enter(model, nothing)
        with lock:
            out += 1
            passed += out > gate.most
        time.sleep(0.0001)
        with lock:
            out -= 1
        answer(gate, model)

    with ThreadPoolExecutor(64) as pool:
        list(pool.map(call, range(2000)))
    assert (model.out, model.waiting, passed) == (0, 0, 0)
