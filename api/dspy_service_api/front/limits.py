"""The bounds of a listener, as one value."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from dspy_service_api.settings import Settings

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Limits:
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


def limits_of(settings: Settings, connections: int) -> Limits:
    """`connections` is what the descriptors leave of the setting."""
    return Limits(
        connections=connections,
        per_peer=settings.connections_per_peer,
        shared=settings.shared_networks,
        head_bytes=settings.head_limit_bytes,
        head_fields=settings.head_limit_fields,
        head_seconds=settings.head_seconds,
        pause_seconds=settings.pause_seconds,
        bytes_per_second=settings.least_bytes_per_second,
        pipelined=settings.pipelined_requests,
    )
