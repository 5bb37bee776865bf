"""A container that a warm process forked: not this node's child, so its end and its exit code come separately."""

import socket
from contextlib import suppress

from dspy_service_local.node.processes.namespaced_process import NamespacedProcess

_KILLED = 137


class ForkedProcess(NamespacedProcess):
    """Its last word on the channel is the command's exit code."""

    def __init__(self, root: int, channel: socket.socket, users: int) -> None:
        super().__init__(root)
        self.users = users
        self._channel = channel
        self._watch_end(self._last_word)

    def _last_word(self) -> int:
        code = b""
        with suppress(OSError):
            code = self._channel.recv(16)
        self._channel.close()
        return int(code) if code.isdigit() else _KILLED
