"""slirp4netns: a container's way to the internet, a TCP/IP stack in a process that needs no right on this machine.

It ends with its container, and with this node however that dies: it watches a pipe that only the node holds open.
pasta is not looked for: it would do the same, and one of them is enough to keep in order.
"""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from dspy_service_local.node.processes.exits import watch_exit
from dspy_service_local.node.processes.processes import StartError

NAMESERVER = "10.0.2.3"
"""Its own, which asks those of this machine."""
_DEVICE = "tap0"
_HARDENED: tuple[tuple[str, ...], ...] = (("--enable-sandbox", "--enable-seccomp"), ("--enable-sandbox",), ())
_READY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Slirp:
    executable: str
    options: tuple[str, ...]

    def arguments(self, pid: int, ready_fd: int, exit_fd: int) -> list[str]:
        pipes = ("--ready-fd", str(ready_fd), "--exit-fd", str(exit_fd))
        plain = ("--configure", "--mtu=65520", "--disable-host-loopback")
        return [self.executable, *plain, *self.options, *pipes, str(pid), _DEVICE]

    async def attach(self, pid: int) -> int:
        """To the network of that process. What it returns is a descriptor that is closed to end it."""
        ready_read, ready_write = os.pipe()
        exit_read, exit_write = os.pipe()
        try:
            child = _spawn(self.arguments(pid, ready_write, exit_read), (ready_write, exit_read))
            watch_exit(child)
            _close(ready_write, exit_read)
            ready_write = exit_read = -1
            await _ready(ready_read)
        except BaseException:
            _close(exit_write)
            raise
        finally:
            _close(ready_read, ready_write, exit_read)
        return exit_write


def candidates() -> Sequence[Slirp]:
    """The best first; none where it is not installed."""
    executable = shutil.which("slirp4netns")
    return [Slirp(executable, options) for options in _HARDENED] if executable else []


def _spawn(arguments: list[str], descriptors: tuple[int, ...]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            arguments,
            env={"PATH": os.environ.get("PATH", os.defpath)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=descriptors,
            start_new_session=True,
            cwd="/",
        )
    except OSError as exc:
        raise StartError(f"slirp4netns: {exc}") from exc


async def _ready(descriptor: int) -> None:
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, readable.set)
    try:
        async with asyncio.timeout(_READY_SECONDS):
            await readable.wait()
    except TimeoutError as exc:
        raise StartError("slirp4netns was not ready in time") from exc
    finally:
        loop.remove_reader(descriptor)
    if not os.read(descriptor, 1):
        raise StartError("slirp4netns could not give the container its network")


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        if descriptor >= 0:
            os.close(descriptor)
