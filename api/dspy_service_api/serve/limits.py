"""The bounds of a listener, as one value."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Seconds and bytes; `per_peer` 0 is no limit, `shared` are the peers that many clients stand behind."""

    connections: int = 768
    per_peer: int = 0
    shared: tuple[Network, ...] = ()
    head_bytes: int = 64 * 1024
    head_fields: int = 100
    head_seconds: float = 10.0
    pause_seconds: float = 30.0
    bytes_per_second: int = 1000
    pipelined: int = 16

    @property
    def look_seconds(self) -> float:
        """How often all connections are looked at: a bound is kept to a tenth of itself."""
        return min(1.0, self.head_seconds / 10, self.pause_seconds / 10)
