"""A container that has a pid namespace of its own, whoever made it."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress

from dspy_service_local.node.processes.processes import first_child, send_signal


class NamespacedProcess:
    """`root` is the first process of the container's pid namespace: the kernel ends all others with it."""

    def __init__(self, root: int) -> None:
        self.root = root
        self.users = root
        """A process of the user namespace that the container's other namespaces belong to: the way in."""
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._pidfd = os.pidfd_open(root)

    def command(self) -> int | None:
        """The first child of the namespace's init; None before it has been forked."""
        return None if self.exited.done() else first_child(self.root)

    def terminate(self) -> None:
        command = self.command()
        if command is None:
            self.kill()
        else:
            send_signal(command, signal.SIGTERM)

    def kill(self) -> None:
        if not self.exited.done():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _watch_end(self, exit_code: Callable[[], int]) -> None:
        """The container has ended when `root` has; `exit_code` is asked for then."""
        self.exited.get_loop().add_reader(self._pidfd, self._ended, exit_code)

    def _ended(self, exit_code: Callable[[], int]) -> None:
        self.exited.get_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self.exited.set_result(exit_code())
