"""A container's processes in a sandbox of their own: bubblewrap, and its parent-death signal."""

import asyncio
import json
import os
import resource
import socket
import subprocess
from collections.abc import Awaitable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from dspy_service_local.node.network.networks import Networks, OwnNetwork
from dspy_service_local.node.processes.cgroups import ProcessCgroups
from dspy_service_local.node.processes.channel import Message, channel, receive
from dspy_service_local.node.processes.exits import watch_exit
from dspy_service_local.node.processes.launch import Launch, ProcessLimits
from dspy_service_local.node.processes.namespaced_process import NamespacedProcess
from dspy_service_local.node.processes.priority import behind
from dspy_service_local.node.processes.processes import Process, StartError, rlimits, spawn
from dspy_service_local.node.sandbox.sandbox import Sandbox, cold_command, memory_file
from dspy_service_runner.container.container_request import GO, NETWORK, READY

_START_SECONDS = 20.0


class SandboxLauncher:
    def __init__(
        self, sandbox: Sandbox, cgroups: ProcessCgroups | None = None, networks: Networks | None = None
    ) -> None:
        """`networks` are for containers that do not need this machine's own; None: all have that."""
        self.sandbox = sandbox
        self.networks = networks
        self._cgroups = cgroups

    @property
    def owner(self) -> int | None:
        return self.sandbox.user

    async def start(self, launch: Launch, output: int) -> Process:
        """By way of `cold`, which finishes the sandbox; but for a process that forks containers: each of them does."""
        if launch.hidden:
            return await self._start(launch.command, launch, output, None, None)
        self.hand_over(output)
        network = await self.networks.plan(launch) if self.networks else None
        request = self.sandbox.request(launch, network.wanted if network else None)
        binds = (*launch.binds, *([network.resolv_conf] if network else []))
        ours, theirs = channel()
        with theirs, memory_file(request.encode()) as file:
            inherited = (theirs.fileno(), file.fileno())
            entered = replace(launch, env={}, binds=binds, pass_fds=(*launch.pass_fds, *inherited))
            starting = self._start(cold_command(*inherited), entered, output, ours, network)
        return await starting

    def hand_over(self, output: int) -> None:
        """Whoever opens /dev/stdout is asked whose it is."""
        if self.owner is not None:
            os.fchown(output, self.owner, self.owner)

    def restrict(self, process: Process, limits: ProcessLimits) -> None:
        """Before the container's command exists: it inherits all of it. The kernel's limits come with the request."""
        _restrict(process.root, limits)
        if self._cgroups:
            self._cgroups.place(process.root, limits.processes, process.exited)

    def _start(
        self,
        first: Sequence[str],
        launch: Launch,
        output: int,
        node: socket.socket | None,
        network: OwnNetwork | None,
    ) -> Awaitable[Process]:
        """The child exists when this returns; `node` is closed in the end."""
        info_read, info_write = os.pipe()
        block_read, block_write = os.pipe()
        try:
            arguments = self.sandbox.arguments(launch, info_write, block_read, first, network is not None)
            child = spawn(arguments, launch.env, output, (info_write, block_read, *launch.pass_fds))
        except StartError:
            _close(info_read, block_write)
            if node:
                node.close()
            raise
        finally:
            _close(info_write, block_read)
        return _unless_cancelled(self._release(child, launch.limits, info_read, block_write, node, network))

    async def _release(
        self,
        child: subprocess.Popen[bytes],
        limits: ProcessLimits,
        info: int,
        block: int,
        node: socket.socket | None,
        network: OwnNetwork | None,
    ) -> Process:
        """Never cut short: killed half-way, bubblewrap would leave its own child waiting for ever."""
        exited = watch_exit(child)
        try:
            root = await _first_process(info)
            process = SandboxedProcess(root, exited)
            self.restrict(process, limits)
            if not node:
                _limit(root, limits)
            os.write(block, b"1")
            if node:
                await _entered(node, network)
        except (OSError, StartError) as exc:
            child.kill()
            if network:
                network.close()
            raise StartError(f"the sandbox did not start: {exc}") from exc
        finally:
            _close(info, block)
            if node:
                node.close()
        if network:
            process.exited.add_done_callback(lambda _: network.close())
        return process


class SandboxedProcess(NamespacedProcess):
    """bubblewrap's own process ends with the command; the container has ended when its namespace's last process has."""

    def __init__(self, root: int, command_exited: asyncio.Future[int]) -> None:
        super().__init__(root)
        command_exited.add_done_callback(self._command_exited)

    def _command_exited(self, command: asyncio.Future[int]) -> None:
        self.kill()
        self._watch_end(command.result)


def _restrict(pid: int, limits: ProcessLimits) -> None:
    if limits.nice:
        os.setpriority(os.PRIO_PROCESS, pid, behind(limits.nice))
    if limits.cpus is not None:
        os.sched_setaffinity(pid, sorted(os.sched_getaffinity(0))[: limits.cpus])


def _limit(pid: int, limits: ProcessLimits) -> None:
    for kind, pair in rlimits(limits).items():
        resource.prlimit(pid, kind, pair)


async def _entered(node: socket.socket, network: OwnNetwork | None) -> None:
    """The container's first program has finished the sandbox, and may become its command."""
    if network:
        here = await _expected(NETWORK, node)
        await network.attach(here.sender, here.descriptors)
        node.send(GO)
    await _expected(READY, node)
    node.send(GO)


async def _expected(word: bytes, node: socket.socket) -> Message:
    answer = await receive(node, _START_SECONDS)
    if answer.data != word:
        raise StartError(answer.data.decode(errors="replace") or "it ended at once; see the container's log")
    return answer


async def _unless_cancelled(release: Coroutine[Any, Any, Process]) -> Process:
    starting = asyncio.ensure_future(release)
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        starting.add_done_callback(_kill_started)
        raise


def _kill_started(starting: asyncio.Future[Process]) -> None:
    if not starting.cancelled() and not starting.exception():
        starting.result().kill()


async def _first_process(info: int) -> int:
    """From bwrap's report, which is empty when it could not make the sandbox; its complaint is in the output then."""
    loop = asyncio.get_running_loop()
    os.set_blocking(info, False)
    readable = asyncio.Event()
    loop.add_reader(info, readable.set)
    data = b""
    try:
        async with asyncio.timeout(_START_SECONDS):
            while True:
                await readable.wait()
                readable.clear()
                with suppress(BlockingIOError):
                    chunk = os.read(info, 4096)
                    data += chunk
                    if not chunk or b"}" in chunk:
                        break
    except TimeoutError as exc:
        raise StartError("the sandbox did not start in time") from exc
    finally:
        loop.remove_reader(info)
    if not data.strip():
        raise StartError("bubblewrap refused; see the container's log")
    return int(json.loads(data)["child-pid"])


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
