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
    assert seen(*[0.2] * 9).slow() is None
    assert seen(*[0.2] * 10).slow() == pytest.approx(0.3)


def test_a_few_slow_ones_are_not_what_calls_take() -> None:
    assert seen(*[0.2] * 98, 5.2, 5.2).slow() == pytest.approx(0.3)


def test_where_many_are_slow_none_is() -> None:
    assert seen(*[0.2] * 90, *[5.2] * 10).slow() == pytest.approx(7.8)


def test_few_calls_are_slow_by_chance_alone() -> None:
    dice = random.Random(0)
    took = [dice.lognormvariate(0, 0.5) for _ in range(5000)]
    slow = seen(*took[:500]).slow()
    assert slow is not None
    assert sum(each > slow for each in took) < 0.02 * len(took)


def test_what_calls_took_long_ago_is_forgotten() -> None:
    assert seen(*[5.0] * 500, *[0.2] * 500).slow() == pytest.approx(0.3)
