"""What the node tells a process in the sandbox about the one container that it is to become, warm or cold."""

import json
from dataclasses import asdict, dataclass

HERE, READY, GO = b"here", b"ready", b"go"


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

    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode()


def decode(data: bytes) -> ContainerRequest:
    return ContainerRequest(**json.loads(data))
