"""The first program of a container that starts afresh: it finishes the sandbox from inside, then executes the command.

Bubblewrap runs as the user who started the node, so that it can mount files that only root may read; but it cannot
change to another user afterwards. This program does, by the same steps as a fork of a warm process (`privileges`).

    node -> request (a file in memory)    here -> "network", if it has its own    node -> "go"
    here -> "ready" or why not    node -> "go"    here -> exec
"""

import os
import signal
import socket
import sys

from dspy_service_runner.container.container_request import ContainerRequest, confined, decode
from dspy_service_runner.container.network import join
from dspy_service_runner.container.privileges import give_up, own_proc

_NOT_FOUND = 127


def main() -> None:
    node = socket.socket(fileno=int(sys.argv[1]))
    node.set_inheritable(False)
    _execute(confined(node, lambda: _confine(node)))


def _confine(node: socket.socket) -> ContainerRequest:
    with open(int(sys.argv[2]), "rb") as file:
        file.seek(0)
        request = decode(file.read())
    if request.network:
        join(node, request.network)
    give_up(request, own_proc())
    return request


def _execute(request: ContainerRequest) -> None:
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores these, and the command would inherit that
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(request.argv[0], request.argv, request.env)
    except (OSError, ValueError) as exc:
        os.write(2, f"cannot start {request.argv[0]}: {exc}\n".encode())
    os._exit(_NOT_FOUND)
