"""What a container with a network of its own may reach besides the internet, and what it may not: decided here.

`Reach` says which addresses and ports are forwarded, and to which of this machine's view they lead.
"""

import asyncio
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import psutil

from dspy_service_runner.container.container_request import Network

Address = IPv4Address | IPv6Address
Endpoint = tuple[str, int]

_NOT_INTERNET = tuple(
    ip_network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
        *("192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4"),
    )
)
"""Private, link-local (cloud metadata among it), carriers' own, benchmarks, multicast and reserved; IPv6 has no way out
at all.
"""
_MOST = 32
_RESOLVE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Reach:
    network: Network
    targets: tuple[Endpoint, ...]
    """Where each forwarded connection leads, in the order of `network.forwarded`."""


async def reach(named: Iterable[str], service_ports: frozenset[int]) -> Reach:
    """`named` are `host:port`; a name stands for what it resolves to now, so that it cannot come to mean another."""
    own = own_addresses()
    found: dict[Endpoint, Endpoint] = {}
    for host, port in map(split, list(named)[:_MOST]):
        for address in await _resolve(host, port):
            if _needs_forward(address, own) and not (_is_here(address, own) and port in service_ports):
                found[(str(address), port)] = (str(address), port)
    addresses = {address for address in map(ip_address, (host for host, _ in found)) if not address.is_loopback}
    unreachable = [(network.network_address.packed, network.prefixlen) for network in _NOT_INTERNET]
    unreachable += [(address.packed, 32) for address in own if address.version == 4]
    network = Network(list(found), [address.packed for address in addresses], unreachable)
    return Reach(network, tuple(found.values()))


def split(endpoint: str) -> Endpoint:
    """`host:port`, `[v6]:port`."""
    host, _, port = endpoint.rpartition(":")
    return host.strip("[]"), int(port)


def own_addresses() -> frozenset[Address]:
    """Of every interface of this machine."""
    entries = (entry for addresses in psutil.net_if_addrs().values() for entry in addresses)
    texts = (entry.address.partition("%")[0] for entry in entries if entry.family in (socket.AF_INET, socket.AF_INET6))
    return frozenset(address for address in map(ip_address, texts) if not address.is_loopback)


def _is_here(address: Address, own: frozenset[Address]) -> bool:
    return address.is_loopback or address.is_unspecified or address in own


def _needs_forward(address: Address, own: frozenset[Address]) -> bool:
    """Nothing listens on the unspecified address, and multicast has no connections."""
    if address.is_unspecified or address.is_multicast:
        return False
    if _is_here(address, own) or address.version == 6:
        return True
    return any(address in network for network in _NOT_INTERNET)


async def _resolve(host: str, port: int) -> Sequence[Address]:
    try:
        async with asyncio.timeout(_RESOLVE_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError):
        return ()
    addresses = (ip_address(str(entry[4][0]).partition("%")[0]) for entry in found)
    return [_plain(address) for address in addresses]


def _plain(address: Address) -> Address:
    """An IPv4 address that is written as IPv6 is that IPv4 address."""
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
