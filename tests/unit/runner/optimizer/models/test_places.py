"""How many calls at once, found beside model servers that are a rule each: an event loop of numbers, no time passes."""

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from dspy_service_runner.optimizer.models.pace.places import FIRST, Places, Sent
from dspy_service_runner.optimizer.models.pace.rate_limit import RateLimit

Latency = Callable[[int], float]
"""Seconds that a call takes, from how many are under way."""


@dataclass
class Played:
    """Rows that ask a server one call each, with as many threads as there are places at most."""

    latency: Latency
    served: int = 10**6
    most: int = 64
    retry_after: float = 1.0
    now: float = 0.0
    refusals: int = 0
    highest: int = 0
    counts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.limit = RateLimit(30.0, Places(self.most))
        self._numbers = itertools.count()

    def run(self, rows: int) -> float:
        """Seconds until all are answered; refused ones come again after their wait."""
        began, limit, left = self.now, self.limit, rows
        ends: list[tuple[float, int, str, Sent]] = []
        limit.waiting += rows
        while left:
            while limit.waiting and limit.opens_in(self.now) == 0:
                limit.waiting -= 1
                sent = limit.sent(self.now)
                refused = limit.out > self.served
                takes = 0.001 if refused else self.latency(limit.out)
                end = (self.now + takes, next(self._numbers), "refused" if refused else "answered", sent)
                heapq.heappush(ends, end)
            self.highest = max(self.highest, limit.out)
            if not ends:  # all of them are to wait
                self.now += 0.01
                continue
            self.now, _, what, sent = heapq.heappop(ends)
            if what == "answered":
                limit.answered(self.now, sent)
                left -= 1
            elif what == "refused":
                self.refusals += 1
                wait, _ = limit.refused(self.now, sent, self.retry_after, 900.0)
                heapq.heappush(ends, (self.now + wait, next(self._numbers), "again", sent))
            else:
                limit.waiting += 1
            self.counts.append(limit.places.count)
        return self.now - began


def constant(_out: int) -> float:
    return 0.2


def queueing(places: int) -> Latency:
    """As a server of one's own, that lets all above its places wait."""
    return lambda out: 0.2 * max(1.0, out / places)


def test_a_model_that_takes_all_is_given_the_most() -> None:
    played = Played(constant)
    assert played.run(400) < 400 * 0.2 / 64 + 1, "of which it takes 0.75 s to find out"
    assert played.limit.places.count == 64


@pytest.mark.parametrize("most", [1, 3, 8, 20])
def test_the_most_is_never_passed(most: int) -> None:
    played = Played(constant, most=most)
    played.run(300)
    assert (played.highest, played.limit.places.count) == (most, most)


def test_a_few_rows_at_a_time_are_enough_to_find_it() -> None:
    played = Played(constant)
    for _ in range(4):
        played.run(30)
    assert played.limit.places.count == 32, "nobody asked for more than 30"


def test_calls_one_after_the_other_teach_nothing() -> None:
    played = Played(constant)
    for _ in range(100):
        played.run(1)
    assert played.limit.places.count == FIRST


@pytest.mark.parametrize("places", [4, 8, 24])
def test_where_more_calls_only_wait_there_are_no_more(places: int) -> None:
    played = Played(queueing(places))
    played.run(200)
    assert played.limit.places.count <= max(FIRST, 2 * places)


def test_and_after_a_while_it_is_tried_again() -> None:
    played = Played(queueing(8))
    played.run(200)
    assert played.limit.places.count <= 2 * FIRST
    played.latency = constant
    played.run(1500)
    assert played.limit.places.count == 64


@pytest.mark.parametrize("seed", range(8))
def test_chance_in_the_latencies_does_not_hold_it_back_for_long(seed: int) -> None:
    dice = random.Random(seed)
    played = Played(lambda _out: dice.lognormvariate(-1.6, 0.6))
    played.run(3000)
    assert played.limit.places.count == 64


@pytest.mark.parametrize("seed", range(8))
def test_nor_do_a_few_calls_that_take_very_long(seed: int) -> None:
    dice = random.Random(seed)
    played = Played(lambda _out: 5.2 if dice.random() < 0.02 else 0.2)
    played.run(3000)
    assert played.limit.places.count == 64


@pytest.mark.parametrize(("served", "allowed"), [(8, 1.3), (32, 1.25), (50, 1.35)])
def test_a_server_of_some_places_is_used_without_many_refusals(served: int, allowed: float) -> None:
    played = Played(constant, served=served)
    took = sum(played.run(30 if served == 8 else 300) for _ in range(40))
    calls = 40 * (30 if served == 8 else 300)
    assert took < allowed * calls * 0.2 / min(served, 30 if served == 8 else 300)
    assert played.refusals < 0.03 * calls
    assert played.counts[-1] <= served


def test_a_limit_that_is_lifted_is_found() -> None:
    played = Played(constant, served=8)
    played.run(400)
    played.served = 10**6
    played.run(20_000)
    assert played.limit.places.count == 64


def test_refusals_of_calls_that_were_out_together_cut_once() -> None:
    places = Places(64)
    for _ in range(FIRST):
        places.refused(1.0, Sent(0.0, FIRST), FIRST)
    once = places.count
    assert FIRST // 2 < once < FIRST
    places.refused(3.0, Sent(2.0, 4), 4)
    assert places.count == once // 2, "no answer since the last cut"


def test_there_is_always_one_place() -> None:
    places = Places(64)
    for moment in range(30):
        places.refused(float(moment), Sent(moment - 0.5, 1), 1)
    assert places.count == 1


def test_a_refusal_with_few_calls_out_forbids_nothing_for_long() -> None:
    """A rate of calls per minute is used up by one call after another, too."""
    played = Played(constant)
    played.limit.refused(0.1, played.limit.sent(0.0), 1.0, 900.0)
    played.now = 1.2
    played.run(500)
    assert played.limit.places.count >= 16
