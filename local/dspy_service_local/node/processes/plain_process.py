"""A container's processes with no sandbox, below a shim that ends them all when the node's end of its pipe closes."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from dspy_service_local.node.processes import shim
from dspy_service_local.node.processes.cgroups import ProcessCgroups
from dspy_service_local.node.processes.exits import watch_exit
from dspy_service_local.node.processes.launch import Bind, Launch
from dspy_service_local.node.processes.processes import Process, first_child, rlimits, send_signal, spawn


class PlainLauncher:
    """No sandbox: paths of mounts in arguments and environment are rewritten to the real folders."""

    def __init__(self, cgroups: ProcessCgroups | None = None) -> None:
        self._cgroups = cgroups

    @property
    def owner(self) -> int | None:
        return None

    async def start(self, launch: Launch, output: int) -> Process:
        plan = plain_plan(launch)
        control_read, control_write = os.pipe()
        try:
            child = spawn(
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
            send_signal(self.root, signal.SIGTERM)

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


_INSTALLATION = (sys.prefix, sys.base_prefix, str(Path(__file__).parents[4]))
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


async def _write_all(descriptor: int, data: bytes) -> None:
    """A plan may be larger than a pipe's buffer (an environment with long values)."""
    await asyncio.get_running_loop().run_in_executor(None, _write_blocking, descriptor, data)


def _write_blocking(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
