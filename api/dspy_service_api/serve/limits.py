"""All bounds of a listener."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """`per_peer` 0 means no limit. `shared` are networks of proxies, to which `per_peer` does not apply."""

    connections: int = 1280
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
        """Pause between two looks at all connections: bounds of time are exceeded by a tenth at most."""
        return min(1.0, self.head_seconds / 10, self.pause_seconds / 10)
