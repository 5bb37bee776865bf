"""What the node tells a process in the sandbox about the one container that it is to become, warm or cold."""

import json
from dataclasses import asdict, dataclass

HERE, NETWORK, READY, GO = b"here", b"network", b"ready", b"go"


@dataclass(frozen=True, slots=True)
class Network:
    """A network of the container's own. `forwarded` are the addresses and ports that it is to listen on for the node;
    `unreachable` is all that is not the internet.
    """

    forwarded: list[tuple[str, int]]
    unreachable: list[str]


@dataclass(frozen=True, slots=True)
class ContainerRequest:
    """`mounts` are (folder below the hidden one, target, read-only); `keep` are visible paths that a target covers."""

    argv: list[str]
    env: dict[str, str]
    cwd: str
    mounts: list[tuple[str, str, bool]]
    keep: list[str]
    limits: dict[str, list[int]]
    user: int
    group: int
    own_users: bool
    """Whether there are user namespaces; then the container must have one of its own."""
    drops_root: bool
    """Whether `user` is another than the one who made the sandbox."""
    network: Network | None = None
    """None: that of whoever made the sandbox."""

    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode()


def decode(data: bytes) -> ContainerRequest:
    values = json.loads(data)
    network = values.pop("network")
    return ContainerRequest(**values, network=Network(**network) if network else None)
