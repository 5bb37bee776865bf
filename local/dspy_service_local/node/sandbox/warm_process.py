"""One process that waits with a command's modules imported, and the containers that it forked.

It is the child of a shell, and the sandbox lasts as long as that shell: a pipe that only this node holds open keeps it
there after the waiting process has ended, whyever that was, until the last container has ended too.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress

from dspy_service_local.node.logs import ContainerLog, LogPipe
from dspy_service_local.node.network.networks import OwnNetwork
from dspy_service_local.node.processes.channel import Message, channel, receive
from dspy_service_local.node.processes.exits import watch_end
from dspy_service_local.node.processes.forked import ForkedProcess
from dspy_service_local.node.processes.launch import Bind, Launch, ProcessLimits
from dspy_service_local.node.processes.priority import behind, may_lower_and_raise, set_nice
from dspy_service_local.node.processes.processes import Process, StartError
from dspy_service_local.node.sandbox.sandboxed_process import SandboxLauncher
from dspy_service_runner.container.container_request import GO, HERE, NETWORK, READY, ContainerRequest

_KEEPER = 'keep=$1; shift; "$@"; read -r _ <"/proc/self/fd/$keep"'
"""Also makes the waiting process the third of its namespace: its forks are the second of theirs (see `warm` there)."""
_READY_SECONDS, FORK_SECONDS = 120.0, 2.0
_BACKGROUND_NICE = 19
_LIMITS = ProcessLimits(processes=4096, open_files=4096, nice=_BACKGROUND_NICE if may_lower_and_raise() else 0)


class WarmProcess:
    """`pid` is the waiting process's, once it has said a word."""

    def __init__(
        self, cold: SandboxLauncher, sandbox: Process, control: socket.socket, keeper: int, log: LogPipe
    ) -> None:
        """`keeper` is this node's end of the pipe; `sandbox` is what all of it runs in."""
        self.pid = 0
        self._cold = cold
        self._sandbox = sandbox
        self._control = control
        self._keeper = keeper
        self._ended = asyncio.get_running_loop().create_future()
        self._uses = 0
        """Containers that run, or are about to."""
        self._retired = False
        sandbox.exited.add_done_callback(lambda _: self._sandbox_ended(log))

    async def ready(self) -> None:
        """As soon as everything is imported."""
        here = await self._answer(self._control, _READY_SECONDS)
        self.pid = here.sender
        if here.data != HERE:
            raise StartError("it could not be started; see its log")
        watch_end(self.pid, self._set_ended)
        if (await self._answer(self._control, _READY_SECONDS)).data != READY:
            raise StartError("it ended before it was ready; see its log")

    async def fork(
        self, request: ContainerRequest, limits: ProcessLimits, output: int, network: OwnNetwork | None = None
    ) -> Process:
        """`StartError` when that did not work, `Hung` when it would not for the next container either."""
        ours, theirs = channel()
        self._uses += 1
        try:
            with theirs:
                socket.send_fds(self._control, [b"1"], [output, theirs.fileno()])
            ours.send(request.encode())
            if network:
                await self._attach(network, ours)
            ready = await self._answer(ours, FORK_SECONDS)
            if ready.data != READY:
                raise StartError(ready.data.decode(errors="replace") or "the fork ended at once")
            forked = ForkedProcess(ready.sender, ours, self._sandbox.root if os.geteuid() else ready.sender)
        except BaseException:
            ours.close()
            self._unused()
            raise
        forked.exited.add_done_callback(lambda _: self._unused())
        self._release(forked, limits, ours)
        return forked

    async def ended(self) -> None:
        await asyncio.shield(self._ended)

    def retire(self) -> None:
        """No fork any more; the sandbox goes with its last container."""
        if self._retired:
            return
        self._retired = True
        if self.pid and not self._ended.done():
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self._control.close()
        self._close_when_unused()

    async def _attach(self, network: OwnNetwork, ours: socket.socket) -> None:
        here = await self._answer(ours, FORK_SECONDS)
        if here.data != NETWORK:
            raise StartError(here.data.decode(errors="replace") or "the fork ended at once")
        await network.attach(here.sender, here.descriptors)
        ours.send(GO)

    async def _answer(self, end: socket.socket, seconds: float) -> Message:
        """Not waited for any longer than there is a process to give it."""
        receiving = asyncio.ensure_future(receive(end, seconds))
        try:
            await asyncio.wait([receiving, self._ended], return_when=asyncio.FIRST_COMPLETED)
            if not receiving.done():
                raise StartError("the process has ended; see its log")
            return receiving.result()
        finally:
            receiving.cancel()

    def _sandbox_ended(self, log: LogPipe) -> None:
        self._set_ended()
        log.close()  # not before: the shell says there that its child was killed, and would die of a closed pipe

    def _set_ended(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    def _release(self, forked: ForkedProcess, limits: ProcessLimits, ours: socket.socket) -> None:
        try:
            self._cold.restrict(forked, limits)
            set_nice(forked.root, behind(limits.nice))
            ours.send(GO)
        except OSError as exc:
            forked.kill()
            raise StartError(str(exc)) from exc

    def _unused(self) -> None:
        self._uses -= 1
        self._close_when_unused()

    def _close_when_unused(self) -> None:
        if self._retired and not self._uses and self._keeper >= 0:
            os.close(self._keeper)
            self._keeper = -1


async def start_warm(
    cold: SandboxLauncher, entry: str, env: Mapping[str, str], hidden: tuple[Bind, ...], log: ContainerLog
) -> WarmProcess:
    """`hidden` are the folders that its forks may mount; await its `ready`."""
    ours, theirs = channel()
    read_end, write_end = os.pipe()
    keep_read, keep_write = os.pipe()
    pipe = LogPipe(read_end, log)
    rehearsal = cold.sandbox.request(Launch((), {}, _LIMITS)).encode().hex()
    warm = (sys.executable, "-P", "-m", "dspy_service_runner.container.warm", entry, str(theirs.fileno()), rehearsal)
    launch = Launch(
        command=("/bin/sh", "-c", _KEEPER, "sh", str(keep_read), *warm),
        env=env,
        limits=_LIMITS,
        hidden=hidden,
        pass_fds=(theirs.fileno(), keep_read),
    )
    try:
        return WarmProcess(cold, await cold.start(launch, write_end), ours, keep_write, pipe)
    except BaseException:
        ours.close()
        pipe.close()
        os.close(keep_write)
        raise
    finally:
        theirs.close()
        os.close(write_end)
        os.close(keep_read)
