"""Which of several replicas acts: the decisions of a Lease election. Pure.

No clock but one's own is ever read against: a Lease says for how long it is held, and whoever waits counts that time
from the moment at which they themselves first saw its last renewal. Its holder counts from before it sent that
renewal, and stops well before the others may begin: what clocks that run at different speeds could differ by is in
between.
"""

from dataclasses import dataclass
from typing import Any, Literal

Step = Literal["create", "take", "renew", "wait"]


@dataclass(frozen=True, slots=True)
class Timing:
    """All from one number: within `lease_seconds` of a leader's death another leads."""

    lease_seconds: int

    @property
    def held_seconds(self) -> int:
        """What the Lease says; the rest is for noticing that it has run out, and for taking it."""
        return self.lease_seconds * 4 // 5

    @property
    def acting_seconds(self) -> float:
        """After the sending of the last renewal that succeeded, its holder acts no longer than this."""
        return self.held_seconds * 0.7

    @property
    def renew_seconds(self) -> float:
        return self.lease_seconds * 0.15

    @property
    def look_seconds(self) -> float:
        return self.lease_seconds / 15


@dataclass(frozen=True, slots=True)
class Hold:
    """A Lease's spec, as far as it matters. `renewed` is the holder's own clock: only ever compared for a change."""

    holder: str
    seconds: int
    renewed: str
    acquired: str
    transitions: int


@dataclass(frozen=True, slots=True)
class Sighting:
    """`since` is the watcher's own clock when it first saw the hold as it is."""

    hold: Hold
    since: float


def seen(before: Sighting | None, hold: Hold, now: float) -> Sighting:
    return before if before is not None and before.hold == hold else Sighting(hold, now)


def decide(me: str, sighting: Sighting | None, now: float, *, missing: bool = False) -> Step:
    """`sighting` is None where no Lease was ever seen; `missing` where there is none now.

    A Lease that was deleted under its holder leaves that holder acting: it is waited out like any other.
    """
    if sighting is None:
        return "create"
    ran_out = now - sighting.since >= sighting.hold.seconds
    if missing:
        return "create" if ran_out else "wait"
    if sighting.hold.holder == me:
        return "renew"
    return "take" if ran_out or not sighting.hold.holder else "wait"


def read_hold(raw: dict[str, Any]) -> Hold:
    spec = raw.get("spec") or {}
    return Hold(
        holder=spec.get("holderIdentity") or "",
        seconds=int(spec.get("leaseDurationSeconds") or 0),
        renewed=str(spec.get("renewTime") or ""),
        acquired=str(spec.get("acquireTime") or ""),
        transitions=int(spec.get("leaseTransitions") or 0),
    )


def next_spec(me: str, hold: Hold | None, timing: Timing, stamp: str) -> dict[str, Any]:
    """The spec by which `me` takes or renews; `stamp` is the time of day, for people."""
    renews = hold is not None and hold.holder == me
    return {
        "holderIdentity": me,
        "leaseDurationSeconds": timing.held_seconds,
        "acquireTime": hold.acquired if hold is not None and renews else stamp,
        "renewTime": stamp,
        "leaseTransitions": (hold.transitions + (not renews)) if hold is not None else 0,
    }


def released_spec(hold: Hold, stamp: str) -> dict[str, Any]:
    """Held by nobody, so that the next one need not wait."""
    return {
        "holderIdentity": "",
        "leaseDurationSeconds": 1,
        "acquireTime": hold.acquired or stamp,
        "renewTime": stamp,
        "leaseTransitions": hold.transitions,
    }
