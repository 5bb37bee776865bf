"""A container's processes in a sandbox of their own: bubblewrap, and its parent-death signal."""

import asyncio
import json
import os
import resource
import subprocess
from contextlib import suppress

from dspy_service_local.node.cgroups import ProcessCgroups
from dspy_service_local.node.exits import watch_exit
from dspy_service_local.node.launch import Bind, Launch, Limits
from dspy_service_local.node.namespaced_process import NamespacedProcess
from dspy_service_local.node.processes import Process, StartError, rlimits, spawn
from dspy_service_local.node.sandbox import Sandbox

_START_SECONDS = 20.0


class SandboxLauncher:
    def __init__(self, sandbox: Sandbox, cgroups: ProcessCgroups | None = None) -> None:
        self._sandbox = sandbox
        self._cgroups = cgroups

    async def start(self, launch: Launch, output: int) -> Process:
        info_read, info_write = os.pipe()
        block_read, block_write = os.pipe()
        try:
            arguments = self._sandbox.arguments(launch, info_write, block_read)
            child = spawn(arguments, launch.env, output, (info_write, block_read, *launch.pass_fds))
        except StartError:
            _close(info_read, block_write)
            raise
        finally:
            _close(info_write, block_read)
        starting = asyncio.ensure_future(self._release(child, launch.limits, info_read, block_write))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            starting.add_done_callback(_kill_started)
            raise

    @property
    def visible(self) -> tuple[Bind, ...]:
        return self._sandbox.visible

    @property
    def own_users(self) -> bool:
        return self._sandbox.own_users

    def restrict(self, process: Process, limits: Limits) -> None:
        """Before the container's command exists: it inherits all of it."""
        _restrict(process.root, limits)
        if self._cgroups:
            self._cgroups.place(process.root, limits.processes, process.exited)

    async def _release(self, child: subprocess.Popen[bytes], limits: Limits, info: int, block: int) -> Process:
        """Never cut short: killed half-way, bubblewrap would leave its own child waiting for ever."""
        exited = watch_exit(child)
        try:
            root = await _first_process(info)
            process = SandboxedProcess(root, exited)
            self.restrict(process, limits)
            os.write(block, b"1")
        except (OSError, StartError) as exc:
            child.kill()
            raise StartError(f"the sandbox did not start: {exc}") from exc
        finally:
            _close(info, block)
        return process


class SandboxedProcess(NamespacedProcess):
    """bubblewrap's own process ends with the command; the container has ended when its namespace's last process has."""

    def __init__(self, root: int, command_exited: asyncio.Future[int]) -> None:
        super().__init__(root)
        command_exited.add_done_callback(self._command_exited)

    def _command_exited(self, command: asyncio.Future[int]) -> None:
        self.kill()
        self._watch_end(command.result)


def _restrict(pid: int, limits: Limits) -> None:
    """Processes are counted in the sandbox's own user namespace; root is exempt, and capped by a cgroup."""
    if os.geteuid():
        resource.prlimit(pid, resource.RLIMIT_NPROC, (limits.processes, limits.processes))
    for kind, pair in rlimits(limits).items():
        resource.prlimit(pid, kind, pair)
    if limits.nice:
        os.setpriority(os.PRIO_PROCESS, pid, limits.nice)
    if limits.cpus is not None:
        os.sched_setaffinity(pid, sorted(os.sched_getaffinity(0))[: limits.cpus])


def _kill_started(starting: asyncio.Future[Process]) -> None:
    if not starting.exception():
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
