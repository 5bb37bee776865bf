"""What a container's process is to be, before anyone decides how it is confined."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Bind:
    """A folder or file of this machine as the container sees it."""

    source: Path
    target: str
    read_only: bool


POD_USER = 60999
"""In a range that neither distributions nor systemd hand out."""


@dataclass(frozen=True, slots=True)
class PodLimits:
    """What no field of a pod says, for every container; `nice` keeps the server ahead of user code."""

    processes: int = 512
    open_files: int = 4096
    nice: int = 5

    @property
    def most_processes(self) -> int:
        """Where the kernel stops it, threads included; `usage` ends a container with more than `processes` before."""
        return self.processes * 5 // 4


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """What the kernel is told of one container. Memory is not among it: see `usage`."""

    processes: int
    open_files: int
    nice: int
    file_size: int | None = None
    cpus: int | None = None


@dataclass(frozen=True, slots=True)
class Launch:
    """`hidden` folders make a process one that forks containers: it may mount them, or what is below (see `warm`)."""

    command: tuple[str, ...]
    env: Mapping[str, str]
    limits: ProcessLimits
    working_dir: str = "/"
    binds: tuple[Bind, ...] = ()
    hidden: tuple[Bind, ...] = ()
    pass_fds: tuple[int, ...] = ()
    endpoints: tuple[str, ...] | None = None
    """What a container with a network of its own reaches besides the internet; None: it has this machine's network."""
