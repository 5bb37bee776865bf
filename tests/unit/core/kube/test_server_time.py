from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from dspy_service_core.kube.server_time import ServerTime

OWN = datetime(2026, 1, 2, 12, 0, 0, 400_000, tzinfo=UTC)


def told(seconds: float) -> str:
    return format_datetime((OWN + timedelta(seconds=seconds)).replace(microsecond=0), usegmt=True)


@pytest.mark.parametrize("ahead", [3600, -600, 7])
def test_a_clock_that_is_off_is_corrected(ahead: int) -> None:
    time = ServerTime(lambda: OWN)
    time.heard(told(ahead))
    assert abs(time() - OWN - timedelta(seconds=ahead)) < timedelta(seconds=1)


@pytest.mark.parametrize("ahead", [0, 1, -2])
def test_a_clock_that_is_right_never_steps(ahead: int) -> None:
    time = ServerTime(lambda: OWN)
    time.heard(told(ahead))
    assert time() == OWN


def test_the_newest_answer_counts() -> None:
    time = ServerTime(lambda: OWN)
    time.heard(told(3600))
    time.heard(told(0))
    assert time() == OWN


@pytest.mark.parametrize("date", [None, "", "yesterday", "Fri, 02 Jan 2026 12:00:00"])
def test_an_answer_without_a_time_changes_nothing(date: str | None) -> None:
    time = ServerTime(lambda: OWN)
    time.heard(told(3600))
    before = time()
    time.heard(date)
    assert time() == before
