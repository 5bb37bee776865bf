"""The messages between the node and a process in the sandbox about the container that the process is to become.

Every container that starts afresh runs this before its own interpreter starts, so it imports only what loads at once or
is loaded anyway (`socket`). `marshal` needs the same interpreter at both ends and a trusted sender, and the node is
both; importing `json` and `dataclasses` would take twice as long as everything else.
"""

import marshal
import os
import socket
from collections.abc import Callable

HERE, NETWORK, READY, GO = b"here", b"network", b"ready", b"go"


class Network:
    """A network of the container's own. `forwarded` are the addresses and ports that it listens on for the node,
    `addresses` those of them that its loopback interface must get (packed), and `unreachable` are the networks that are
    not the internet (packed address, length of the prefix).
    """

    __slots__ = ("addresses", "forwarded", "unreachable")

    def __init__(
        self, forwarded: list[tuple[str, int]], addresses: list[bytes], unreachable: list[tuple[bytes, int]]
    ) -> None:
        self.forwarded = forwarded
        self.addresses = addresses
        self.unreachable = unreachable


class ContainerRequest:
    """`mounts` are (folder below the hidden one, target, read-only); `keep` are visible paths that a target would cover
    and that must stay visible.

    `own_users`: whether the machine has user namespaces; if so, the container must have one of its own. `drops_root`:
    whether `user` is another user than the one who made the sandbox. `network` None: the container uses the network of
    the sandbox's maker.
    """

    __slots__ = (
        *("argv", "env", "cwd", "mounts", "keep", "limits"),
        *("user", "group", "own_users", "drops_root", "network"),
    )

    def __init__(
        self,
        *,
        argv: list[str],
        env: dict[str, str],
        cwd: str,
        mounts: list[tuple[str, str, bool]],
        keep: list[str],
        limits: dict[int, tuple[int, int]],
        user: int,
        group: int,
        own_users: bool,
        drops_root: bool,
        network: Network | None,
    ) -> None:
        self.argv = argv
        self.env = env
        self.cwd = cwd
        self.mounts = mounts
        self.keep = keep
        self.limits = limits
        self.user = user
        self.group = group
        self.own_users = own_users
        self.drops_root = drops_root
        self.network = network

    def encode(self) -> bytes:
        return marshal.dumps(_fields(self) | {"network": _fields(self.network) if self.network else None})


def decode(data: bytes) -> ContainerRequest:
    values = marshal.loads(data)
    network = values.pop("network")
    return ContainerRequest(**values, network=Network(**network) if network else None)


def _fields(value: ContainerRequest | Network) -> dict[str, object]:
    return {name: getattr(value, name) for name in value.__slots__}


def confined(node: socket.socket, confine: Callable[[], ContainerRequest]) -> ContainerRequest:
    """Returns the request whose sandbox `confine` finished, as soon as the node has set the limits. Ends the process if
    the sandbox cannot be made."""
    try:
        request = confine()
    except (OSError, ValueError) as exc:
        node.sendall(str(exc).encode())
        os._exit(1)
    node.sendall(READY)
    await_go(node)
    return request


def await_go(node: socket.socket) -> None:
    """Ends the process if the node answers anything but GO, or closes the socket."""
    if node.recv(len(GO)) != GO:
        os._exit(0)
