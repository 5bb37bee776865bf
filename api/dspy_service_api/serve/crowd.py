"""Who has a connection, and who gives way. When all seats are taken, the longest of those that keep nobody busy (idle,
or with a head that is not whole yet) loses its own to whoever comes: half-sent requests cannot shut anybody out.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from typing import Protocol

from dspy_service_api.serve.limits import ConnectionLimits, Network
from dspy_service_api.serve.refusals import FULL, PEER_FULL, Refusal


class Holder(Protocol):
    def give_way(self) -> None:
        """Ends the connection; its seat is somebody else's already."""

    def look(self, now: float) -> None:
        """Ends the connection if it is overdue."""


@dataclass(slots=True, eq=False)
class Seat:
    peer: str
    holder: Holder | None = None


@dataclass(slots=True)
class Peer:
    taken: int = 0
    waiting: dict[Seat, None] = field(default_factory=dict)


class Crowd:
    """One event loop, no locks. Dictionaries keep the order in which seats began to wait."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._seats: dict[Seat, None] = {}
        self._waiting: dict[Seat, None] = {}
        self._peers: dict[str, Peer] = {}

    def __len__(self) -> int:
        return len(self._seats)

    def __iter__(self) -> Iterator[Seat]:
        return iter(tuple(self._seats))

    def take(self, host: str) -> Seat | Refusal:
        """A seat, waiting; its holder is named by the caller."""
        address = known_by(host, self._limits.shared)
        peer = self._peers.get(address) if address else None
        if peer and 0 < self._limits.per_peer <= peer.taken and not self._cleared(peer.waiting):
            return PEER_FULL
        if len(self._seats) >= self._limits.connections and not self._cleared(self._waiting):
            return FULL
        seat = Seat(address)
        self._seats[seat] = None
        if address:
            self._peers.setdefault(address, Peer()).taken += 1
        self.waits(seat)
        return seat

    def waits(self, seat: Seat) -> None:
        """It keeps nobody busy from now on."""
        if seat in self._seats:
            self._waiting[seat] = None
            if seat.peer:
                self._peers[seat.peer].waiting[seat] = None

    def works(self, seat: Seat) -> None:
        """Its request is whole enough to be answered."""
        if self._waiting.pop(seat, seat) is None and seat.peer:
            self._peers[seat.peer].waiting.pop(seat, None)

    def leave(self, seat: Seat) -> None:
        """Once or again."""
        if self._seats.pop(seat, seat) is not None:
            return
        self.works(seat)
        if seat.peer:
            peer = self._peers[seat.peer]
            peer.taken -= 1
            if not peer.taken:
                del self._peers[seat.peer]

    def _cleared(self, waiting: dict[Seat, None]) -> bool:
        oldest = next(iter(waiting), None)
        if oldest is None:
            return False
        self.leave(oldest)
        if oldest.holder is not None:
            oldest.holder.give_way()
        return True


def known_by(host: str, shared: Iterable[Network]) -> str:
    """The address that a peer is counted under: an IPv6 client has a whole /64. Empty for those that no one counts."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if any(address in network for network in shared):
        return ""
    return str(address) if address.version == 4 else address.packed[:8].hex()
