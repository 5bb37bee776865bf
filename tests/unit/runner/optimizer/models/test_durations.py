"""From when on a call is slow."""

import random

import pytest

from dspy_service_runner.optimizer.models.pace.durations import Durations


def seen(*seconds: float) -> Durations:
    durations = Durations()
    for each in seconds:
        durations.note(each)
    return durations


def test_nothing_is_slow_before_enough_is_known() -> None:
    assert seen(*[0.2] * 3).slow() is None


def test_the_less_is_known_the_longer_a_call_may_take() -> None:
    assert seen(*[0.2] * 4).slow() == seen(*[0.2] * 19).slow() == pytest.approx(0.6)
    assert seen(*[0.2] * 20).slow() == pytest.approx(0.3)


def test_a_few_slow_ones_are_not_what_calls_take() -> None:
    assert seen(*[0.2] * 98, 5.2, 5.2).slow() == pytest.approx(0.3)
    assert seen(0.2, 0.2, 0.2, 5.2).slow() == pytest.approx(0.6)


def test_where_many_are_slow_none_is() -> None:
    assert seen(*[0.2] * 90, *[5.2] * 10).slow() == pytest.approx(7.8)


@pytest.mark.parametrize("known", [4, 19, 20, 500])
def test_few_calls_are_slow_by_chance_alone(known: int) -> None:
    dice = random.Random(0)
    took = [dice.lognormvariate(0, 0.5) for _ in range(50_000)]
    slow = [seen(*took[begin : begin + known]).slow() or 0.0 for begin in range(0, 40_000, 200)]
    shares = [sum(each > limit for each in took[-1000:]) / 1000 for limit in slow]
    assert sum(shares) / len(shares) < 0.02


def test_what_calls_took_long_ago_is_forgotten() -> None:
    assert seen(*[5.0] * 500, *[0.2] * 500).slow() == pytest.approx(0.3)
