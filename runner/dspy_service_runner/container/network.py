"""Sets up a container's own network, from inside and before any user code: what is unreachable, and what is forwarded.

Packets to the internet leave by an interface that the node attaches (slirp4netns). That would connect to anything that
the node can reach, so every network that is not the internet gets an `unreachable` route. For an address that the
container may reach all the same (an endpoint of its models on this machine or in a private network), the loopback
interface gets the address and a listening socket, whose connections the node accepts and relays. The command that runs
here later has no right to change any of this.
"""

import os
import socket
import struct

from dspy_service_runner.container.container_request import NETWORK, Network, await_go

_NEWLINK, _NEWADDR, _NEWROUTE, _ERROR = 16, 20, 24, 2
_REQUEST, _ACK, _CREATE, _REPLACE = 1, 4, 0x400, 0x100
_IFF_UP = 1
_IFA_ADDRESS, _IFA_LOCAL, _IFA_F_NODAD = 1, 2, 2
_RTA_DST = 1
_TABLE_MAIN, _PROTOCOL_STATIC, _SCOPE_UNIVERSE, _UNREACHABLE = 254, 4, 0, 7
_SCOPE_HOST = 254
_LOOPBACK = 1
_BACKLOG = 128


def join(node: socket.socket, wanted: Network) -> None:
    """Returns when the node has attached the interface to the internet."""
    listeners = _make(wanted)
    if listeners:
        socket.send_fds(node, [NETWORK], [listener.fileno() for listener in listeners])
    else:
        node.sendall(NETWORK)
    for listener in listeners:
        listener.close()
    await_go(node)


def _make(wanted: Network) -> list[socket.socket]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
        _ask(netlink, _NEWLINK, 0, struct.pack("=BxHiII", 0, 0, _LOOPBACK, _IFF_UP, _IFF_UP))
        for address, prefix in wanted.unreachable:
            _refuse(netlink, address, prefix)
        for address in wanted.addresses:
            _add_address(netlink, address)
    return [_listener(address, port) for address, port in wanted.forwarded]


def _listener(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, port), family=family, backlog=_BACKLOG)


def _refuse(netlink: socket.socket, network: bytes, prefix: int) -> None:
    kind = (_TABLE_MAIN, _PROTOCOL_STATIC, _SCOPE_UNIVERSE, _UNREACHABLE)
    header = struct.pack("=BBBBBBBBI", _family(network), prefix, 0, 0, *kind, 0)
    _ask(netlink, _NEWROUTE, _CREATE | _REPLACE, header + _attribute(_RTA_DST, network))


def _add_address(netlink: socket.socket, address: bytes) -> None:
    header = struct.pack("=BBBBI", _family(address), 8 * len(address), _IFA_F_NODAD, _SCOPE_HOST, _LOOPBACK)
    attributes = _attribute(_IFA_LOCAL, address) + _attribute(_IFA_ADDRESS, address)
    _ask(netlink, _NEWADDR, _CREATE | _REPLACE, header + attributes)


def _family(address: bytes) -> int:
    return socket.AF_INET if len(address) == 4 else socket.AF_INET6


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _ask(netlink: socket.socket, kind: int, flags: int, body: bytes) -> None:
    netlink.send(struct.pack("=IHHII", 16 + len(body), kind, _REQUEST | _ACK | flags, 1, 0) + body)
    answer = netlink.recv(65536)
    _, answered, _, _, _, code = struct.unpack_from("=IHHIIi", answer)
    if answered == _ERROR and code:
        raise OSError(-code, os.strerror(-code), f"netlink request {kind}")
