from datetime import UTC, datetime, timedelta

import pytest

from dspy_service_core.resource import conditions
from dspy_service_core.resource.conditions import derive_phase, parse_time, precise_timestamp, with_condition
from dspy_service_core.resource.status import MESSAGE_LENGTH, Condition

NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)


def made(kind: str, status: str, reason: str = "Because") -> list[Condition]:
    return with_condition([], kind, status, reason, now=NOW)  # type: ignore[arg-type]  # tables of words


def test_a_transition_time_moves_with_the_status_alone():
    first = with_condition([], "Started", "False", "PodCreated", "made", now=NOW, generation=1)
    same = with_condition(first, "Started", "False", "Unschedulable", "no node", now=LATER, generation=2)
    turned = with_condition(same, "Started", "True", "Running", now=LATER, generation=2)
    assert same[0].last_transition_time == "2026-01-02T03:04:05Z"
    assert (same[0].reason, same[0].message, same[0].observed_generation) == ("Unschedulable", "no node", 2)
    assert turned[0].last_transition_time == "2026-01-02T03:05:05Z"


def test_a_condition_keeps_its_place():
    both = with_condition(made("Valid", "True"), "Queued", "True", "Queued", now=NOW)
    again = with_condition(both, "Valid", "False", "Invalid", now=NOW)
    assert [c.type for c in again] == ["Valid", "Queued"]
    assert conditions.holds(again, "Queued")
    assert not conditions.holds(again, "Valid")
    assert conditions.find(again, "Failed") is None


def test_a_message_is_cut_to_what_the_resource_takes():
    (found,) = with_condition([], "Failed", "True", "Error", "x" * 5000, now=NOW)
    assert len(found.message) == MESSAGE_LENGTH


@pytest.mark.parametrize(
    ("given", "phase"),
    [
        ([], "Pending"),
        (made("Queued", "True"), "Pending"),
        (made("Started", "False", "Unschedulable"), "Pending"),
        (made("Started", "True", "Validating"), "Validating"),
        (made("Started", "True", "Running"), "Running"),
        (made("Started", "True", "Running") + made("Succeeded", "True"), "Succeeded"),
        (made("Started", "True", "Running") + made("Failed", "True"), "Failed"),
        (made("Cancelled", "True"), "Cancelled"),
    ],
)
def test_the_phase_follows_from_the_conditions(given, phase):
    assert derive_phase(given) == phase


@pytest.mark.parametrize("text", [None, "", "yesterday", "2026-01-02T03:04:05"])
def test_what_is_no_time_is_none(text):
    assert parse_time(text) is None


def test_times_are_written_as_they_are_read():
    assert parse_time(precise_timestamp(NOW)) == NOW
    assert precise_timestamp(NOW) == "2026-01-02T03:04:05.678Z"
