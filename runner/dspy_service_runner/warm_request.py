"""What the node tells a fork of a warm process about the one container that it is to become."""

import json
from dataclasses import asdict, dataclass


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

    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode()


def decode(data: bytes) -> ContainerRequest:
    return ContainerRequest(**json.loads(data))
