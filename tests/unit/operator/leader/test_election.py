"""Who may act: the decisions as a table, and the holding of a Lease on the embedded API server with a clock by hand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dspy_service_core.kube import errors
from dspy_service_core.kube.resources import LEASES
from dspy_service_operator.leader.election import (
    Hold,
    Sighting,
    Timing,
    decide,
    next_spec,
    read_hold,
    released_spec,
    seen,
)
from dspy_service_operator.leader.leadership import Leadership, LeaseName
from faulty_cluster import FaultyCluster, faulty_cluster
from faulty_transport import no_fault
from waiting import until

TIMING = Timing(15)


def hold(holder: str = "other", seconds: int = 12, renewed: str = "r1", transitions: int = 3) -> Hold:
    return Hold(holder, seconds, renewed, "a1", transitions)


@pytest.mark.parametrize(
    ("sighting", "missing", "now", "step"),
    [
        (None, True, 0, "create"),
        (Sighting(hold(), 100), False, 100, "wait"),
        (Sighting(hold(), 100), False, 111.9, "wait"),
        (Sighting(hold(), 100), False, 112, "take"),
        (Sighting(hold(seconds=60), 100), False, 112, "wait"),
        (Sighting(hold(holder=""), 100), False, 100, "take"),
        (Sighting(hold(holder="me"), 100), False, 100, "renew"),
        (Sighting(hold(holder="me"), 100), False, 500, "renew"),
        (Sighting(hold(), 100), True, 105, "wait"),
        (Sighting(hold(), 100), True, 112, "create"),
        (Sighting(hold(holder="me"), 100), True, 105, "wait"),
    ],
)
def test_a_step(sighting: Sighting | None, missing: bool, now: float, step: str) -> None:
    assert decide("me", sighting, now, missing=missing) == step


def test_time_counts_from_the_first_sight_of_a_renewal_whatever_its_own_clock_says() -> None:
    first = seen(None, hold(renewed="1970-01-01T00:00:00Z"), 100)
    assert seen(first, hold(renewed="1970-01-01T00:00:00Z"), 105) == first
    assert seen(first, hold(renewed="2999-01-01T00:00:00Z"), 105).since == 105


@pytest.mark.parametrize("lease_seconds", [5, 15, 60, 300])
def test_a_leader_stops_well_before_another_may_begin(lease_seconds: int) -> None:
    timing = Timing(lease_seconds)
    assert timing.acting_seconds <= 0.75 * timing.held_seconds
    assert timing.renew_seconds * 3 < timing.acting_seconds
    assert timing.held_seconds + 2 * timing.look_seconds < lease_seconds


def test_a_taking_counts_and_a_renewal_does_not() -> None:
    taken = next_spec("me", hold(transitions=3), TIMING, "now")
    assert (taken["leaseTransitions"], taken["acquireTime"], taken["leaseDurationSeconds"]) == (4, "now", 12)
    renewed = next_spec("me", read_hold({"spec": taken}), TIMING, "later")
    assert (renewed["leaseTransitions"], renewed["acquireTime"], renewed["renewTime"]) == (4, "now", "later")
    assert released_spec(read_hold({"spec": renewed}), "end")["holderIdentity"] == ""


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[FaultyCluster]:
    async with faulty_cluster(tmp_path) as cluster:
        yield cluster


def leadership(cluster: FaultyCluster, identity: str, clock: Clock, ends: list[str]) -> Leadership:
    timing = Timing(15)
    return Leadership(cluster.client, LeaseName("default", "operator"), timing, identity, ends.append, clock)


@asynccontextmanager
async def candidate(chosen: Leadership) -> AsyncIterator[asyncio.Event]:
    """Runs for the office in the background; the event tells that it leads."""
    leads, stop = asyncio.Event(), asyncio.Event()

    async def run() -> None:
        if await chosen.acquire(stop):
            async with chosen.kept():
                leads.set()
                await stop.wait()

    task = asyncio.create_task(run())
    try:
        yield leads
    finally:
        stop.set()
        await task


async def test_one_leads_and_hands_over_when_it_ends(cluster: FaultyCluster) -> None:
    clock, ends = Clock(), list[str]()
    first, second = (leadership(cluster, name, clock, ends) for name in ("first", "second"))
    async with candidate(second) as second_leads:
        await second_leads.wait()
        async with candidate(first) as first_leads:
            assert not first_leads.is_set()
            second.fence()
    async with candidate(first) as first_leads:
        await asyncio.wait_for(first_leads.wait(), 30)  # the clock stands still: nothing had to run out
        lease = await cluster.client.get(LEASES, "operator", "default")
        assert (lease["spec"]["holderIdentity"], lease["spec"]["leaseTransitions"]) == ("first", 1)
    assert ends == []


async def test_a_leader_that_cannot_renew_acts_no_more_before_another_does(cluster: FaultyCluster) -> None:
    clock, ends = Clock(), list[str]()
    first = leadership(cluster, "first", clock, ends)
    async with candidate(first) as leads:
        await leads.wait()
        cluster.transport.before = lambda request: errors.Unavailable("away")
        clock.now += TIMING.acting_seconds - 0.01
        first.fence()
        clock.now += 0.02
        with pytest.raises(RuntimeError):
            first.fence()
        assert ends
        assert clock.now < 1000 + TIMING.held_seconds
        cluster.transport.before = no_fault


async def test_a_leader_that_finds_another_in_office_ends(cluster: FaultyCluster) -> None:
    clock, ends = Clock(), list[str]()
    first = leadership(cluster, "first", clock, ends)
    async with candidate(first) as leads:
        await leads.wait()
        cluster.change(LEASES, "operator", {"spec": {"holderIdentity": "usurper"}})

        async def noticed() -> bool:
            return any("usurper" in why for why in ends)

        await until(noticed)


async def test_a_deleted_lease_is_waited_out(cluster: FaultyCluster) -> None:
    clock, ends = Clock(), list[str]()
    first, second = (leadership(cluster, name, clock, ends) for name in ("first", "second"))
    async with candidate(first) as leads:
        await leads.wait()
        async with candidate(second) as second_leads:

            async def looked() -> bool:
                requests = cluster.transport.requests
                return requests[-1].verb == "get" and len(requests) > 3

            await until(looked)
            cluster.remove(LEASES, "operator")

            async def noticed() -> bool:
                return any("deleted" in why for why in ends)

            await until(noticed)
            assert not second_leads.is_set()
