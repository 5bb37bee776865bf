"""What a container's process is to be, before anyone decides how it is confined."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Bind:
    """A folder or file of this machine as the container sees it."""

    source: Path
    target: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class Limits:
    """`memory` is watched, not enforced by the kernel: see `usage`. `nice` keeps the server ahead of user code."""

    file_size: int | None = None
    memory: int | None = None
    processes: int = 1024
    open_files: int = 4096
    cpus: int | None = None
    nice: int = 0


@dataclass(frozen=True, slots=True)
class Launch:
    """`late_binds` are folders that a waiting process may mount itself, before it sees its job (see `warm_pool`)."""

    command: tuple[str, ...]
    env: Mapping[str, str]
    working_dir: str = "/"
    binds: tuple[Bind, ...] = ()
    late_binds: tuple[Bind, ...] = ()
    limits: Limits = field(default_factory=Limits)
    pass_fds: tuple[int, ...] = ()
