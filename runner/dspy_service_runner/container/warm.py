"""A process that has imported a command's modules and forks itself for every job, which saves each job the imports.

The embedded node (never a cluster) starts it inside a sandbox, which it never leaves. It reads no data of any job, so
that no fork has another job's keys in its memory: through its inherited socket it receives only pairs of descriptors,
one for a container's output and one for a socket of that container alone. The fork reads the request from that socket,
makes the rest of its sandbox (`warm_sandbox`), gives up the rights that this needed, waits until the node has set its
limits, and only then becomes the command.

    node -> request    fork -> "network", if it has its own    node -> "go"
    fork -> "ready" or why not    node -> "go"    fork -> exit code
"""

import gc
import importlib
import os
import resource
import signal
import socket
import sys
import time
from pathlib import Path
from typing import NoReturn

from dspy_service_runner.container.container_request import HERE, READY, ContainerRequest, confined, decode
from dspy_service_runner.container.network import join
from dspy_service_runner.container.privileges import set_traceable
from dspy_service_runner.container.warm_sandbox import enter_namespaces, finish_sandbox

_REQUEST_BYTES = 1024 * 1024
_COMMAND_PID = 2


def main() -> None:
    entry, control = sys.argv[1], socket.socket(fileno=int(sys.argv[2]))
    _close_all_but(control.fileno())
    control.sendall(HERE)
    module_name, _, function = entry.partition(":")
    module = importlib.import_module(module_name)
    if hasattr(module, "preload"):
        module.preload()
    _refuse_what_forks_badly(control.fileno())
    gc.collect()
    gc.freeze()
    _rehearse(decode(bytes.fromhex(sys.argv[3])))
    control.sendall(READY)
    _become(_next_container(control))
    sys.exit(getattr(module, function)())


def _next_container(control: socket.socket) -> ContainerRequest:
    """Returns only in a fork; the warm process itself ends when the node closes its end of the socket."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        more, descriptors, _, _ = socket.recv_fds(control, 1, 2)
        if not more:
            os._exit(0)
        if _forked():
            control.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return _command(descriptors[0], socket.socket(fileno=descriptors[1]))
        for descriptor in descriptors:
            os.close(descriptor)


def _forked() -> bool:
    try:
        return os.fork() == 0
    except OSError:  # no memory or no process left; the node notices because its socket is closed
        return False


def _command(output: int, node: socket.socket) -> ContainerRequest:
    """Returns only in the second process of the container's pid namespace, which becomes the command."""
    request = confined(node, lambda: _confine(node))
    set_traceable(False)
    if command := os.fork():
        _reap(command, node)
    set_traceable(True)
    os.dup2(output, 1)
    os.dup2(output, 2)
    _close_all_but(0)
    return request


def _confine(node: socket.socket) -> ContainerRequest:
    request = decode(node.recv(_REQUEST_BYTES))
    _enter(request, node)
    return request


def _enter(request: ContainerRequest, node: socket.socket | None = None) -> None:
    """Returns only in the first process of a new pid namespace, when its sandbox is finished."""
    enter_namespaces(own_network=request.network is not None)
    if os.fork():
        os._exit(0)
    if request.network and node:
        join(node, request.network)
    finish_sandbox(request)


def _reap(command: int, node: socket.socket) -> NoReturn:
    """What the pid namespace's first process does: it waits for the command and tells the node the exit code. When it
    ends, the kernel ends all other processes of the namespace."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's handler would let a process inside end this one
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    _close_all_but(node.fileno())
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == command:
            code = os.waitstatus_to_exitcode(status)
            node.sendall(str(128 - code if code < 0 else code).encode())
            os._exit(0)


def _become(request: ContainerRequest) -> None:
    """Sets the command's name, arguments and environment as an exec would."""
    Path("/proc/self/comm").write_text(Path(request.argv[0]).name)
    os.setsid()
    os.chdir(request.cwd)
    os.environ.clear()
    os.environ.update(request.env)
    time.tzset()
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()  # Python's own `random` seeds itself anew after a fork
    sys.argv = request.argv


def _rehearse(request: ContainerRequest) -> None:
    """Makes one sandbox as a trial, because some systems allow namespaces but no mounts in them. It is better to find
    that out before a job waits for it."""
    read_end, write_end = os.pipe()
    if (child := os.fork()) == 0:
        try:
            _enter(request)
            os.write(write_end, b"1")
        except OSError as exc:
            os.write(2, f"no warm starts: {exc}\n".encode())
        os._exit(0)
    os.close(write_end)
    os.waitpid(child, 0)
    worked = os.read(read_end, 1)
    os.close(read_end)
    if not worked:
        sys.exit(1)


def _close_all_but(kept: int) -> None:
    """Keeps this descriptor and the three standard ones."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    os.closerange(3, max(kept, 3))
    os.closerange(max(kept + 1, 3), most)


def _refuse_what_forks_badly(control: int) -> None:
    """Exits if a fork would not work as a fresh process does. A fork has no threads but one, so a lock that another
    thread held would never be released; and open files are closed in the fork.

    OpenSSL notices a fork by a changed process id, and only then seeds its random numbers anew. The command's id is
    always _COMMAND_PID, as it has a namespace of its own, so this process must have a higher one.
    """
    if len(os.listdir("/proc/self/task")) > 1:
        sys.exit("an import started a thread: no warm starts")
    if opened := [fd for fd in os.listdir("/proc/self/fd") if int(fd) > 2 and int(fd) != control and _is_open(fd)]:
        sys.exit(f"an import opened {len(opened)} files: no warm starts")
    if os.getpid() <= _COMMAND_PID:
        sys.exit(f"started as process {os.getpid()}: forks would share its random numbers")


def _is_open(descriptor: str) -> bool:
    """False for the descriptor by which the folder was listed: it is closed by now."""
    return os.path.lexists(f"/proc/self/fd/{descriptor}")


if __name__ == "__main__":
    main()
