"""Starts and ends one container's processes, in a sandbox (`sandboxed_process`) or not (`plain_process`).

Every process dies with the node, however that dies: bubblewrap by the parent-death signal, the shim by the end of file
on a pipe that only the node holds open.
"""

import asyncio
import os
import resource
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from dspy_service_local.node.processes.launch import Launch, ProcessLimits


class StartError(Exception):
    """The process could not be started at all; the message is the launcher's own."""


class Process(Protocol):
    """`root` is the process whose descendants are the container; `exited` gives the exit code."""

    root: int
    exited: asyncio.Future[int]

    def command(self) -> int | None:
        """The process of the container's command; None where that is not known."""
        ...

    def terminate(self) -> None:
        """SIGTERM to the container's first process alone, as a container runtime does."""
        ...

    def kill(self) -> None:
        """SIGKILL to all of the container's processes."""
        ...


class Launcher(Protocol):
    @property
    def owner(self) -> int | None:
        """The user, and group, whom the folders of containers must belong to; None: whoever runs the node."""
        ...

    async def start(self, launch: Launch, output: int) -> Process:
        """`output` becomes stdout and stderr; the caller closes its own copy."""
        ...


def rlimits(limits: ProcessLimits) -> dict[int, tuple[int, int]]:
    wanted = {resource.RLIMIT_CORE: 0, resource.RLIMIT_NOFILE: limits.open_files}
    if limits.file_size is not None:
        wanted[resource.RLIMIT_FSIZE] = limits.file_size
    pairs = {}
    for kind, most in wanted.items():
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        pairs[kind] = (most, most)
    return pairs


def process_limit(limits: ProcessLimits) -> dict[int, tuple[int, int]]:
    """To be set inside the container's own user namespace: in any other, all that its user runs is counted."""
    return {resource.RLIMIT_NPROC: (limits.processes, limits.processes)}


def spawn(
    command: list[str], env: Mapping[str, str], output: int, descriptors: tuple[int, ...]
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=descriptors,
            start_new_session=True,
            cwd="/",
        )
    except (OSError, ValueError) as exc:
        raise StartError(str(exc)) from exc


def first_child(pid: int) -> int | None:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return None
    return int(children[0]) if children else None


def send_signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
