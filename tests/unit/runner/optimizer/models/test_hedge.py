"""Two requests for one call, which the test holds in its hands."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest

from dspy_service_runner.optimizer.models.pace.hedge import Hedges
from waiting import wait_for

KIND = ("default", "answer")


class Held:
    """A request that ends when it is told to."""

    def __init__(self, answer: str | Exception) -> None:
        self._answer, self._free = answer, threading.Event()
        self.began, self.ended = threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.began.set()
        assert self._free.wait(20)
        self.ended.set()
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    def end(self) -> None:
        self._free.set()


def nothing() -> None:
    return None


@pytest.fixture
def hedges() -> Iterator[Hedges]:
    """Knows that such calls take next to no time."""
    made = Hedges(8)
    for _ in range(20):
        assert made.race(KIND, lambda: "quick", nothing) == "quick"
    yield made
    made.settle(10)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


def test_the_first_answer_is_taken_and_the_other_awaited(hedges: Hedges, pool: ThreadPoolExecutor) -> None:
    slow, quick = Held("slow"), Held("quick")
    racer = pool.submit(hedges.race, KIND, slow, lambda: quick)
    assert quick.began.wait(10)
    quick.end()
    assert racer.result(10) == "quick"
    assert not slow.ended.is_set()
    settling = pool.submit(hedges.settle, 20.0)
    assert not settling.done()
    slow.end()
    settling.result(10)
    assert slow.ended.is_set()
    assert hedges.asked_again == 1


def test_the_first_one_may_win_after_all(hedges: Hedges, pool: ThreadPoolExecutor) -> None:
    slow, spare = Held("slow"), Held("spare")
    racer = pool.submit(hedges.race, KIND, slow, lambda: spare)
    assert spare.began.wait(10)
    slow.end()
    assert racer.result(10) == "slow"
    spare.end()


def test_quick_calls_and_unknown_kinds_are_made_once(hedges: Hedges) -> None:
    held, asked = Held("new"), list[str]()
    threading.Timer(0.3, held.end).start()
    assert hedges.race("another kind", held, lambda: asked.append("again")) == "new"
    assert hedges.race(KIND, lambda: "quick", lambda: asked.append("again")) == "quick"
    assert not asked


def test_what_others_took_that_began_with_it_counts(hedges: Hedges) -> None:
    slow, others = Held("slow"), 4
    with ThreadPoolExecutor(1) as pool:
        racer = pool.submit(hedges.race, "another kind", slow, lambda: lambda: "again")
        assert slow.began.wait(10)
        for _ in range(others):
            hedges.race("another kind", lambda: "quick", nothing)
        assert racer.result(10) == "again"
        slow.end()


def test_none_is_made_while_there_is_no_place(hedges: Hedges, pool: ThreadPoolExecutor) -> None:
    slow, looks = Held("slow"), []

    def second() -> None:
        looks.append(1)

    racer = pool.submit(hedges.race, KIND, slow, second)
    wait_for(lambda: len(looks) > 3, what="looks for a place")
    slow.end()
    assert racer.result(10) == "slow"
    assert hedges.asked_again == 0


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        (ValueError("first"), "second", "second"),
        ("first", ValueError("second"), "first"),
        (ValueError("first"), ValueError("second"), "ValueError: first"),
    ],
)
@pytest.mark.parametrize("ends_first", [0, 1])
def test_an_answer_goes_before_an_error(
    first: str | Exception,
    second: str | Exception,
    found: str,
    ends_first: int,
    hedges: Hedges,
    pool: ThreadPoolExecutor,
) -> None:
    both = Held(first), Held(second)

    def outcome() -> str:
        try:
            return hedges.race(KIND, both[0], lambda: both[1])
        except ValueError as error:
            return f"ValueError: {error}"

    racer = pool.submit(outcome)
    assert both[1].began.wait(10)
    both[ends_first].end()
    assert both[ends_first].ended.wait(10)
    both[1 - ends_first].end()
    assert racer.result(10) == found


def test_requests_see_the_settings_of_whoever_makes_the_call(hedges: Hedges) -> None:
    setting: ContextVar[str] = ContextVar("setting", default="none")
    setting.set("mine")
    assert hedges.race(KIND, setting.get, nothing) == "mine"
