"""Starts and ends one container's processes; two ways of confinement, one handle.

Every process dies with the node, however that dies: bubblewrap by the parent-death signal, the shim by the end of file
on a pipe that only the node holds open.
"""

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from dspy_service_local.node import shim
from dspy_service_local.node.cgroups import ProcessCgroups
from dspy_service_local.node.exits import watch_exit
from dspy_service_local.node.launch import Bind, Launch, Limits
from dspy_service_local.node.sandbox import Sandbox

_START_SECONDS = 20.0


class StartError(Exception):
    """The process could not be started at all; the message is the launcher's own."""


class Process(Protocol):
    """`root` is the process whose descendants are the container; `exited` gives the exit code."""

    root: int
    exited: asyncio.Future[int]

    def command(self) -> int | None:
        """The process of the container's command; None where that is not known."""
        ...

    def terminate(self) -> None:
        """SIGTERM to the container's first process alone, as a container runtime does."""
        ...

    def kill(self) -> None:
        """SIGKILL to all of the container's processes."""
        ...


class Launcher(Protocol):
    async def start(self, launch: Launch, output: int) -> Process:
        """`output` becomes stdout and stderr; the caller closes its own copy."""
        ...


class SandboxLauncher:
    def __init__(self, sandbox: Sandbox, cgroups: ProcessCgroups | None = None) -> None:
        self._sandbox = sandbox
        self._cgroups = cgroups

    async def start(self, launch: Launch, output: int) -> Process:
        info_read, info_write = os.pipe()
        block_read, block_write = os.pipe()
        try:
            arguments = self._sandbox.arguments(launch, info_write, block_read)
            child = _spawn(arguments, launch.env, output, (info_write, block_read, *launch.pass_fds))
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


class SandboxedProcess:
    """`root` is the first process of the container's pid namespace: the kernel ends all others with it.

    bubblewrap's own process ends with the command; the container has ended when the namespace's last process has.
    """

    def __init__(self, root: int, command_exited: asyncio.Future[int]) -> None:
        self.root = root
        self._loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[int] = self._loop.create_future()
        self._pidfd = os.pidfd_open(root)
        command_exited.add_done_callback(self._command_exited)

    def command(self) -> int | None:
        """The first child of the namespace's init; None before bubblewrap has forked it."""
        return None if self.exited.done() else first_child(self.root)

    def terminate(self) -> None:
        command = self.command()
        if command is None:
            self.kill()
        else:
            _signal(command, signal.SIGTERM)

    def kill(self) -> None:
        if not self.exited.done():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _command_exited(self, command: asyncio.Future[int]) -> None:
        self.kill()
        self._loop.add_reader(self._pidfd, self._all_exited, command.result())

    def _all_exited(self, code: int) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self.exited.set_result(code)


class PlainLauncher:
    """No sandbox: paths of mounts in arguments and environment are rewritten to the real folders."""

    def __init__(self, cgroups: ProcessCgroups | None = None) -> None:
        self._cgroups = cgroups

    async def start(self, launch: Launch, output: int) -> Process:
        plan = plain_plan(launch)
        control_read, control_write = os.pipe()
        try:
            child = _spawn(
                [sys.executable, "-I", "-S", shim.__file__, str(control_read)],
                {},
                output,
                (control_read, *launch.pass_fds),
            )
        finally:
            os.close(control_read)
        process = PlainProcess(child, watch_exit(child), control_write)
        if self._cgroups:
            self._cgroups.place(child.pid, launch.limits.processes, process.exited)
        await _write_all(control_write, json.dumps(plan).encode() + b"\n")
        return process


class PlainProcess:
    """The shim passes SIGTERM on; closing the pipe makes it kill everything below it."""

    def __init__(self, child: subprocess.Popen[bytes], exited: asyncio.Future[int], control: int) -> None:
        self.root = child.pid
        self.exited = exited
        self._control = control
        exited.add_done_callback(lambda _: self.kill())

    def command(self) -> int | None:
        return None if self.exited.done() else first_child(self.root)

    def terminate(self) -> None:
        if not self.exited.done():
            _signal(self.root, signal.SIGTERM)

    def kill(self) -> None:
        if self._control >= 0:
            os.close(self._control)
            self._control = -1


def plain_plan(launch: Launch) -> dict[str, Any]:
    """What the shim runs, as JSON."""
    return {
        "command": [rewrite(part, launch.binds) for part in launch.command],
        "env": {name: rewrite(value, launch.binds) for name, value in launch.env.items()},
        "cwd": rewrite(launch.working_dir, launch.binds),
        "limits": {str(kind): list(pair) for kind, pair in rlimits(launch.limits).items()},
        "nice": launch.limits.nice,
    }


_INSTALLATION = (sys.prefix, sys.base_prefix, str(Path(__file__).parents[3]))
"""The interpreter and this distribution stay where they are, also when that is below a mount path such as /tmp."""


def rewrite(value: str, binds: tuple[Bind, ...]) -> str:
    """A value that equals or begins with a mount path, optionally behind file://, as a path of this machine."""
    scheme, path = ("file://", value[7:]) if value.startswith("file://") else ("", value)
    if any(path.startswith(f"{root}/") for root in _INSTALLATION):
        return value
    for bind in sorted(binds, key=lambda b: len(b.target), reverse=True):
        if path == bind.target or path.startswith(bind.target + "/"):
            return f"{scheme}{bind.source}{path[len(bind.target) :]}"
    return value


def rlimits(limits: Limits) -> dict[int, tuple[int, int]]:
    wanted = {resource.RLIMIT_CORE: 0, resource.RLIMIT_NOFILE: limits.open_files}
    if limits.file_size is not None:
        wanted[resource.RLIMIT_FSIZE] = limits.file_size
    pairs = {}
    for kind, most in wanted.items():
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        pairs[kind] = (most, most)
    return pairs


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


def _spawn(
    command: list[str], env: Mapping[str, str], output: int, descriptors: tuple[int, ...]
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=descriptors,
            start_new_session=True,
            cwd="/",
        )
    except (OSError, ValueError) as exc:
        raise StartError(str(exc)) from exc


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


def first_child(pid: int) -> int | None:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return None
    return int(children[0]) if children else None


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


async def _write_all(descriptor: int, data: bytes) -> None:
    """A plan may be larger than a pipe's buffer (an environment with long values)."""
    await asyncio.get_running_loop().run_in_executor(None, _write_blocking, descriptor, data)


def _write_blocking(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
