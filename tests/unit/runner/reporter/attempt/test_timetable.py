import pytest

from dspy_service_runner.reporter.attempt.timetable import (
    LONGEST_LOOK,
    LONGEST_STRETCH,
    SHORTEST_LOOK,
    Backoff,
    Looks,
    Timetable,
)


def make(progress: float = 2, heartbeat: float = 10) -> Timetable:
    timetable = Timetable(progress, flush_interval=5, heartbeat_interval=heartbeat, ask_interval=1, started=100)
    timetable.patched(100)
    return timetable


@pytest.mark.parametrize(
    ("changed", "urgent", "elapsed", "due"),
    [
        (False, False, 9.9, False),
        (False, False, 10, True),
        (True, False, 1.9, False),
        (True, False, 2 * LONGEST_STRETCH, True),
        (False, True, 0, True),
    ],
)
def test_patches(changed: bool, urgent: bool, elapsed: float, due: bool) -> None:
    timetable = make()
    timetable.changed, timetable.urgent = changed, urgent
    assert timetable.patch_due(100 + elapsed) is due


@pytest.mark.parametrize("changed", [True, False])
def test_nothing_but_what_is_urgent_is_sooner_than_the_interval(changed: bool) -> None:
    """Not a heartbeat either: a thousand of them would be too many for the cluster."""
    timetable = make(progress=60)
    timetable.patched(100)
    timetable.changed = changed
    assert not timetable.patch_due(159)
    assert timetable.patch_due(100 + 60 * LONGEST_STRETCH)
    timetable.urgent = True
    assert timetable.patch_due(101)


def test_it_asks_when_nothing_was_heard_for_a_while() -> None:
    timetable = make()
    assert not timetable.ask_due(100.9, answered=100)
    assert timetable.ask_due(100 + LONGEST_STRETCH, answered=100)
    assert not timetable.ask_due(101.5, answered=100.6)


def test_the_first_patch_is_soon_but_not_at_once() -> None:
    timetable = Timetable(60, 5, 100, 1, started=100)
    assert not timetable.patch_due(100.4)
    assert timetable.patch_due(100.5)


def test_reporters_that_are_in_step_do_not_stay_so() -> None:
    """All of them are due in one moment after an outage; the next time spreads over the stretch."""
    timetables = [make(progress=60) for _ in range(200)]
    for timetable in timetables:
        timetable.changed = True
    middle = 60 * (1 + LONGEST_STRETCH) / 2
    due = sum(timetable.patch_due(100 + middle) for timetable in timetables)
    assert 40 < due < 160, "200 tosses of a coin, and eight standard deviations"


def test_flushes() -> None:
    timetable = make()
    assert not timetable.flush_due(104)
    assert timetable.flush_due(105)
    timetable.flushed(105)
    assert not timetable.flush_due(109)


def test_looks_are_close_while_something_happens() -> None:
    looks = Looks(100)
    assert looks.pause(100) == SHORTEST_LOOK
    assert looks.pause(101) == pytest.approx(0.1)
    assert looks.pause(1000) == LONGEST_LOOK
    looks.note(1000, changed=True)
    assert looks.pause(1000) == SHORTEST_LOOK
    looks.note(1001, changed=False)
    assert looks.pause(1001) == pytest.approx(0.1)


def test_backoff_doubles_to_its_longest_and_begins_anew() -> None:
    backoff = Backoff(first=1, longest=8)
    pauses = [backoff.failed(0) for _ in range(6)]
    for pause, full in zip(pauses, [1, 2, 4, 8, 8, 8], strict=True):
        assert full / 2 <= pause <= full
    assert backoff.until == pauses[-1]
    backoff.succeeded()
    assert backoff.until == 0
    assert backoff.failed(0) <= 1
