"""A container that a warm process forked: not this node's child, so its end and its exit code come separately."""

import asyncio
import os
import signal
import socket
from contextlib import suppress

from dspy_service_local.node.processes import first_child

_KILLED = 137


class ForkedProcess:
    """`root` is the first process of the container's pid namespace; its last word is the command's exit code."""

    def __init__(self, root: int, channel: socket.socket) -> None:
        self.root = root
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[int] = self._loop.create_future()
        self._pidfd = os.pidfd_open(root)
        self._loop.add_reader(self._pidfd, self._ended)

    def command(self) -> int | None:
        return None if self.exited.done() else first_child(self.root)

    def terminate(self) -> None:
        command = self.command()
        if command is None:
            self.kill()
        else:
            with suppress(ProcessLookupError):
                os.kill(command, signal.SIGTERM)

    def kill(self) -> None:
        if not self.exited.done():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _ended(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        code = b""
        with suppress(OSError):
            code = self._channel.recv(16)
        self._channel.close()
        self.exited.set_result(int(code) if code.isdigit() else _KILLED)
