"""A model's rate limit, as it follows from what happens to its calls; time is a number here."""

import math

import pytest

from dspy_service_runner.optimizer.models.pace.places import FIRST, Places, Sent
from dspy_service_runner.optimizer.models.pace.rate_limit import RateLimit

PATIENCE = 60.0


EARLY = Sent(0.0, 1)


def limited(longest_wait: float = 30.0, out: int = 0) -> RateLimit:
    return RateLimit(longest_wait, Places(64), out)


def test_as_many_calls_go_out_as_there_are_places() -> None:
    limit = limited(out=FIRST - 1)
    assert limit.opens_in(0) == 0
    limit.sent(0.0)
    assert limit.opens_in(0) is None
    limit.answered(0.2, EARLY)
    assert limit.opens_in(0.2) == 0


@pytest.mark.parametrize(
    ("asked", "waits"),
    [
        (None, [1, 2, 4, 8, 16, 30, 30]),
        (0.01, [0.01, 0.02, 0.04, 0.08]),
        (0.0, [0.01, 0.02, 0.04, 0.08]),
        (5.0, [5, 10, 20, 30]),
        (86_400.0, [30, 30]),
        (1e308, [30, 30]),
        (math.inf, [30]),
        (-3.0, [0.01, 0.02]),
    ],
)
def test_waits_double_from_what_the_model_asks_and_are_bounded(asked: float | None, waits: list[float]) -> None:
    limit, now, found = limited(30.0), 0.0, []
    for _ in waits:
        wait, _left = limit.refused(now, limit.sent(now), asked, math.inf)
        found.append(wait)
        now += wait + 0.001
    assert found == pytest.approx(waits)


def test_a_model_that_answers_nobody_is_left_alone_by_all() -> None:
    limit = limited(out=2)
    limit.refused(0.0, EARLY, 5.0, PATIENCE)
    assert limit.open_at == 0.0, "the other may be answered"
    limit.refused(0.0, EARLY, 5.0, PATIENCE)
    assert limit.opens_in(1.0) == 4.0


def test_an_answer_ends_the_waiting_of_the_next_refusal() -> None:
    limit = limited(out=3)
    limit.refused(0.0, EARLY, None, PATIENCE)
    limit.answered(1.0, EARLY)
    wait, left = limit.refused(50.0, Sent(50.0, 1), None, PATIENCE)
    assert (wait, left) == (1.0, PATIENCE)


def test_the_last_try_is_made_when_patience_ends_and_no_later() -> None:
    limit = limited(30.0)
    waits = []
    now = 0.0
    for _ in range(3):
        wait, left = limit.refused(now, limit.sent(now), 86_400.0, 45.0)
        waits.append((wait, left))
        now += wait
    assert waits == [(30.0, 45.0), (15.0, 15.0), (0.0, 0.0)]
    assert limit.opens_in(45.0) == 0


def test_another_error_gives_the_place_back_and_says_nothing_of_the_limit() -> None:
    limit = limited(out=2)
    limit.refused(1.0, EARLY, None, PATIENCE)
    places = limit.places.count
    limit.broke(2.0, Sent(1.5, 2))
    assert (limit.out, limit.places.count) == (0, places)
    assert limit.refused_since == 1.0


def test_one_that_asks_for_time_leaves_fewer_places() -> None:
    limit = limited(out=FIRST)
    limit.broke(1.0, EARLY, asked=2.0)
    assert limit.places.count < FIRST
    assert limit.refused_since is None, "an overloaded server is no rate limit that patience waits for"


def test_a_model_is_limited_from_a_refusal_until_it_has_answered_for_a_while() -> None:
    limit = limited(out=2)
    assert not limit.is_limited(0.0)
    limit.refused(1.0, EARLY, None, PATIENCE)
    limit.answered(2.0, EARLY)
    assert limit.is_limited(3.0)
    assert not limit.is_limited(100.0)
