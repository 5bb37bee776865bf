"""A model's rate limit, as it follows from what happens to its calls; time is a number here."""

import math

import pytest

from dspy_service_runner.optimizer.models.rate_limit import RateLimit

PATIENCE = 60.0


def limited(longest_wait: float = 30.0, out: int = 0) -> RateLimit:
    limit = RateLimit(longest_wait)
    for _ in range(out):
        limit.sent()
    return limit


def test_nothing_is_held_back_before_the_first_refusal() -> None:
    limit = limited(out=10_000)
    assert limit.opens_in(0) == 0


def test_places_halve_once_for_all_calls_that_were_out_together() -> None:
    limit = limited(out=64)
    for moment in range(1, 57):
        limit.refused(0.0, float(moment), 1.0, PATIENCE)
    assert limit.places == 32
    assert limit.out == 8


def test_a_call_sent_after_the_cut_cuts_again() -> None:
    limit = limited(out=64)
    limit.refused(0.0, 1.0, 1.0, PATIENCE)
    limit.refused(2.0, 3.0, 1.0, PATIENCE)
    assert limit.places == 16


def test_places_grow_by_one_a_round_and_only_while_all_are_taken() -> None:
    limit = limited(out=16)
    limit.refused(0.0, 1.0, 1.0, PATIENCE)
    while limit.out:
        limit.answered()
    assert limit.places == pytest.approx(8, abs=1), "what is out beyond the places counts as taken, and nothing below"
    before = limit.places
    limit.sent()
    limit.answered()
    assert limit.places == before
    for _ in range(int(before)):
        while limit.opens_in(100.0) == 0:
            limit.sent()
        limit.answered()
    assert before + 0.7 < limit.places <= before + 1


def test_there_is_always_one_place() -> None:
    limit = limited()
    for moment in range(20):
        limit.sent()
        limit.refused(float(moment), float(moment), 0.0, math.inf)
    assert limit.places == 1
    assert limit.opens_in(1000.0) == 0


@pytest.mark.parametrize(
    ("asked", "waits"),
    [
        (None, [1, 2, 4, 8, 16, 30, 30]),
        (0.01, [0.01, 0.02, 0.04, 0.08]),
        (5.0, [5, 10, 20, 30]),
        (86_400.0, [30, 30]),
        (math.inf, [30]),
        (-3.0, [0, 0]),
    ],
)
def test_waits_double_from_what_the_model_asks_and_are_bounded(asked: float | None, waits: list[float]) -> None:
    limit, now, found = limited(30.0), 0.0, []
    for _ in waits:
        limit.sent()
        wait, _left = limit.refused(now, now, asked, math.inf)
        found.append(wait)
        now += wait + 0.001
    assert found == pytest.approx(waits)


def test_a_model_that_answers_nobody_is_left_alone_by_all() -> None:
    limit = limited(out=2)
    limit.refused(0.0, 0.0, 5.0, PATIENCE)
    assert limit.open_at == 0.0, "the other may be answered"
    limit.refused(0.0, 0.0, 5.0, PATIENCE)
    assert limit.opens_in(1.0) == 4.0


def test_an_answer_ends_the_waiting_of_the_next_refusal() -> None:
    limit = limited(out=3)
    limit.refused(0.0, 0.0, None, PATIENCE)
    limit.answered()
    wait, left = limit.refused(50.0, 50.0, None, PATIENCE)
    assert (wait, left) == (1.0, PATIENCE)


def test_the_last_try_is_made_when_patience_ends_and_no_later() -> None:
    limit = limited(30.0)
    waits = []
    now = 0.0
    for _ in range(3):
        limit.sent()
        wait, left = limit.refused(now, now, 86_400.0, 45.0)
        waits.append((wait, left))
        now += wait
    assert waits == [(30.0, 45.0), (15.0, 15.0), (0.0, 0.0)]
    assert limit.opens_in(45.0) == 0


def test_another_error_gives_the_place_back_and_says_nothing_of_the_limit() -> None:
    limit = limited(out=2)
    limit.refused(0.0, 1.0, None, PATIENCE)
    limit.broke()
    assert limit.out == 0
    assert limit.refused_since == 1.0
