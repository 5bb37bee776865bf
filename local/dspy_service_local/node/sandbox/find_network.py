"""Tries out once, when the node starts, whether containers can have networks of their own here."""

import json
import os
import select
import socket
import subprocess

from dspy_service_local.node.network.slirp import Slirp, candidates
from dspy_service_local.node.processes.launch import Launch, ProcessLimits
from dspy_service_local.node.sandbox.sandbox import Sandbox, cold_command, memory_file
from dspy_service_runner.container.container_request import NETWORK, Network

_PATIENCE = 5.0
_WANTED = Network([], [], [(bytes([10, 0, 0, 0]), 8)])


class _Failed(Exception):
    """What did not work, in words for the user."""


def find_slirp(sandbox: Sandbox) -> Slirp | str:
    """The way to the internet that works, or why there is none."""
    problem = "slirp4netns is not installed"
    for candidate in candidates():
        try:
            _try(sandbox, candidate)
        except (_Failed, OSError, ValueError) as exc:
            problem = f"slirp4netns does not work here: {exc}"
        else:
            return candidate
    return problem


def _try(sandbox: Sandbox, slirp: Slirp) -> None:
    """A container as it will be, up to where it waits for its network, and that network."""
    launch = Launch((), {}, ProcessLimits(64, 64, 0))
    request = sandbox.request(launch, _WANTED)
    info_read, info_write = os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(_PATIENCE)
    with ours, theirs, memory_file(request.encode()) as file:
        first = cold_command(theirs.fileno(), file.fileno())
        arguments = sandbox.arguments(launch, info_write, null, first, own_network=True)
        descriptors = (info_write, null, theirs.fileno(), file.fileno())
        container = _start(arguments, descriptors)
        try:
            theirs.close()
            os.close(info_write)
            if (said := ours.recv(4096)) != NETWORK:
                raise _Failed(said.decode(errors="replace") or "no network of its own for the sandbox")
            _attach(slirp, int(json.loads(os.read(info_read, 4096))["child-pid"]))
        finally:
            container.kill()
            container.wait()
            os.close(info_read)
            os.close(null)


def _attach(slirp: Slirp, pid: int) -> None:
    ready_read, ready_write = os.pipe()
    exit_read, exit_write = os.pipe()
    child = _start(slirp.arguments(pid, ready_write, exit_read), (ready_write, exit_read))
    os.close(ready_write)
    os.close(exit_read)
    try:
        readable, _, _ = select.select([ready_read], [], [], _PATIENCE)
        if not readable:
            raise _Failed("it is not ready in time")
        if not os.read(ready_read, 1):
            raise _Failed("it ends at once (is there a /dev/net/tun?)")
    finally:
        child.kill()
        child.wait()
        os.close(ready_read)
        os.close(exit_write)


def _start(arguments: list[str], descriptors: tuple[int, ...]) -> subprocess.Popen[bytes]:
    null = subprocess.DEVNULL
    return subprocess.Popen(arguments, env={}, stdin=null, stdout=null, stderr=null, pass_fds=descriptors, cwd="/")
