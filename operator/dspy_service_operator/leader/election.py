"""Decides which of several replicas leads, by a Lease. Pure.

Clocks of different machines are never compared. A Lease says for how many seconds it is held. A waiting replica counts
them from the moment at which it first saw the last renewal; the holder counts from before it sent that renewal, and
stops acting well before the others may begin. The time in between allows for clocks that run at different speeds.
"""

from dataclasses import dataclass
from typing import Any, Literal

Step = Literal["create", "take", "renew", "wait"]


@dataclass(frozen=True, slots=True)
class Timing:
    """All times follow from `lease_seconds`: so long after a leader's death, at most, another replica leads."""

    lease_seconds: int

    @property
    def held_seconds(self) -> int:
        """The duration in the Lease; the rest is for others to notice that it has run out, and to take it."""
        return self.lease_seconds * 4 // 5

    @property
    def acting_seconds(self) -> float:
        """How long its holder may act, counted from the sending of the last renewal that succeeded."""
        return self.held_seconds * 0.7

    @property
    def renew_seconds(self) -> float:
        return self.lease_seconds * 0.15

    @property
    def look_seconds(self) -> float:
        return self.lease_seconds / 15


@dataclass(frozen=True, slots=True)
class Hold:
    """The fields of a Lease's spec that matter. `renewed` is by the holder's clock, so it is only checked for
    changes."""

    holder: str
    seconds: int
    renewed: str
    acquired: str
    transitions: int


@dataclass(frozen=True, slots=True)
class Sighting:
    """`since`: when the watcher first saw exactly this hold, by the watcher's own clock."""

    hold: Hold
    since: float


def seen(before: Sighting | None, hold: Hold, now: float) -> Sighting:
    return before if before is not None and before.hold == hold else Sighting(hold, now)


def decide(me: str, sighting: Sighting | None, now: float, *, missing: bool = False) -> Step:
    """`sighting` is None if no Lease was ever seen; `missing` if there is none now.

    If the Lease was deleted, its last holder may still be acting, so its time is waited for as usual.
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
    """The spec with which `me` takes or renews the Lease; `stamp` is the time of day, only for people to read."""
    renews = hold is not None and hold.holder == me
    return {
        "holderIdentity": me,
        "leaseDurationSeconds": timing.held_seconds,
        "acquireTime": hold.acquired if hold is not None and renews else stamp,
        "renewTime": stamp,
        "leaseTransitions": (hold.transitions + (not renews)) if hold is not None else 0,
    }


def released_spec(hold: Hold, stamp: str) -> dict[str, Any]:
    """Held by nobody, so that the next replica need not wait."""
    return {
        "holderIdentity": "",
        "leaseDurationSeconds": 1,
        "acquireTime": hold.acquired or stamp,
        "renewTime": stamp,
        "leaseTransitions": hold.transitions,
    }
