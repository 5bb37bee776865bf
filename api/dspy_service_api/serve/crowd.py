"""Who holds a connection (a seat), and who gives way. When all seats are taken, a new connection gets the seat of the
one that has been waiting longest: idle, or still sending its headers. So half-sent requests cannot shut others out.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from typing import Protocol

from dspy_service_api.serve.limits import ConnectionLimits, Network
from dspy_service_api.serve.refusals import FULL, PEER_FULL, Refusal


class Holder(Protocol):
    def give_way(self) -> None:
        """Ends the connection; its seat already belongs to another one."""

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
    """Used on one event loop, so without locks. The order of the dictionaries is the order in which seats began to
    wait."""

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
        """A seat that counts as waiting; the caller sets its holder."""
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
        """From now on the seat may be given to another connection."""
        if seat in self._seats:
            self._waiting[seat] = None
            if seat.peer:
                self._peers[seat.peer].waiting[seat] = None

    def works(self, seat: Seat) -> None:
        """The headers of a request are complete, so the seat is not given away until it waits again."""
        if self._waiting.pop(seat, seat) is None and seat.peer:
            self._peers[seat.peer].waiting.pop(seat, None)

    def leave(self, seat: Seat) -> None:
        """May be called more than once for a seat."""
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
    """The address that a peer is counted under: for IPv6 its /64, since a client has all of that. Empty for proxies and
    for peers without an address, which are not counted."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if any(address in network for network in shared):
        return ""
    return str(address) if address.version == 4 else address.packed[:8].hex()
