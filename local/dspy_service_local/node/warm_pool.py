"""Processes that wait for a job with their modules imported, each in its final sandbox, serving one job and ending.

A slot is the folder of a pod that does not exist yet, with its volumes mounted into the waiting processes. A pod that
fits gets the slot's folder as its own (by a link), so its processes see its volumes at once. What cannot be known
before (folders of a claim) the process mounts itself, then gives up the right to mount (`dspy_service_runner.warm`).
"""

import asyncio
import json
import logging
import os
import socket
import sys
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from dspy_service_local.node.containers import ContainerRun
from dspy_service_local.node.launch import Bind, Launch, Limits, PodLimits
from dspy_service_local.node.logs import ContainerLog, LogPipe
from dspy_service_local.node.model import Mount, Pod
from dspy_service_local.node.priority import may_lower_and_raise, set_nice
from dspy_service_local.node.processes import Launcher, PlainLauncher, Process, StartError, rewrite, rlimits
from dspy_service_local.node.remove import remove_tree
from dspy_service_local.node.sandbox import HIDDEN
from dspy_service_local.node.warm_shape import WARM_COMMANDS, Shape, WarmContainer, shape_of

log = logging.getLogger(__name__)

_READY_SECONDS = 120.0
_REFILL_SECONDS = 0.1
_FAILED_SECONDS = 60.0
_BACKGROUND_NICE = 19


class WarmProcess:
    """One waiting process; `serve` hands it its job."""

    def __init__(self, process: Process, channel: socket.socket, output: int, sandboxed: bool) -> None:
        self._process = process
        self._channel = channel
        self._output = output
        self._sandboxed = sandboxed

    @property
    def exited(self) -> asyncio.Future[int]:
        return self._process.exited

    @property
    def alive(self) -> bool:
        return not self.exited.done()

    async def ready(self) -> None:
        """When it has imported everything; ends with `StartError` when it died over it."""
        if not await asyncio.get_running_loop().sock_recv(self._channel, 1):
            raise StartError("a warm process ended before it was ready")

    async def serve(
        self, run: ContainerRun, launch: Launch, late: Sequence[tuple[str, Mount, str]], log_file: Path
    ) -> None:
        run.adopt(self._process, LogPipe(self._output, ContainerLog(log_file)))
        self._output = -1
        if may_lower_and_raise() and (command := self._process.command()):
            set_nice(command, launch.limits.nice)
        message = json.dumps(self._message(launch, late)).encode()
        with suppress(OSError):  # its end is seen as the container's
            await asyncio.get_running_loop().sock_sendall(self._channel, message)
        self._channel.close()

    def kill(self) -> None:
        self._process.kill()
        self._channel.close()
        if self._output >= 0:
            os.close(self._output)
            self._output = -1

    def _message(self, launch: Launch, late: Sequence[tuple[str, Mount, str]]) -> dict[str, Any]:
        binds = () if self._sandboxed else launch.binds
        mounts = [[f"{HIDDEN}/{claim}/{sub}".rstrip("/"), m.path, m.read_only] for claim, m, sub in late]
        return {
            "argv": [rewrite(part, binds) for part in launch.command],
            "env": {name: rewrite(value, binds) for name, value in launch.env.items()},
            "mounts": mounts if self._sandboxed else [],
            "limits": {str(kind): list(pair) for kind, pair in rlimits(launch.limits).items()},
        }


class Slot:
    def __init__(self, folder: Path, shape: Shape) -> None:
        self.folder = folder
        self.shape = shape
        self.processes: dict[str, WarmProcess] = {}
        self.ready = False

    @property
    def alive(self) -> bool:
        return all(process.alive for process in self.processes.values())

    def kill(self) -> None:
        for process in self.processes.values():
            process.kill()
        self.processes.clear()


class WarmPool:
    """`size` slots wait at most; 0 turns the pool off. `run` fills it until cancelled."""

    def __init__(
        self,
        size: int,
        shape: Shape,
        launcher: Launcher,
        slots: Path,
        claims: Path,
        base_env: Mapping[str, str],
        limits: PodLimits,
        commands: Mapping[str, str] = WARM_COMMANDS,
    ) -> None:
        self._commands = commands
        self._limits = limits
        self._size = size
        self._shape = shape
        self._launcher = launcher
        self._folder = slots
        self._claims = claims
        self._base_env = base_env
        self._slots: list[Slot] = []
        self._taken = asyncio.Event()
        self._removals: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> int:
        """Slots whose processes have imported everything."""
        return sum(slot.ready and slot.alive for slot in self._slots)

    def take(self, pod: Pod) -> Slot | None:
        """A slot that fits, the one that has waited longest; the pool follows the newest pod's shape."""
        shape = shape_of(pod, self._commands)
        if shape is None or not self._size:
            return None
        self._shape = shape
        for slot in [s for s in self._slots if not s.alive or s.shape != shape]:
            self._drop(slot)
        self._taken.set()
        return self._slots.pop(0) if self._slots else None

    def owns(self, folder: Path) -> bool:
        return any(slot.folder.name == folder.name for slot in self._slots)

    async def run(self) -> None:
        try:
            while self._size:
                self._taken.clear()
                if len(self._slots) < self._size:
                    await self._add()
                else:
                    await self._taken.wait()
                    await asyncio.sleep(_REFILL_SECONDS)
        finally:
            for slot in list(self._slots):
                self._drop(slot)

    async def _add(self) -> None:
        slot = Slot(self._folder / uuid.uuid4().hex[:12], self._shape)
        self._slots.append(slot)
        try:
            for container in slot.shape.containers:
                slot.processes[container.name] = await self._start(slot, container)
            async with asyncio.timeout(_READY_SECONDS):
                await asyncio.gather(*(p.ready() for p in list(slot.processes.values())))
            slot.ready = True
            for process in slot.processes.values():
                process.exited.add_done_callback(lambda _: self._died(slot))
        except (StartError, TimeoutError, OSError, ValueError) as exc:
            # ValueError: the event loop's word for a channel that was closed because the slot was dropped meanwhile.
            if slot in self._slots:
                log.warning("no warm start for a while: %s", exc)
                self._drop(slot)
                await asyncio.sleep(_FAILED_SECONDS)

    async def _start(self, slot: Slot, container: WarmContainer) -> WarmProcess:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        read_end, write_end = os.pipe()
        try:
            launch = self._launch(slot, container, theirs.fileno())
            process = await self._launcher.start(launch, write_end)
        except BaseException:
            ours.close()
            os.close(read_end)
            raise
        finally:
            theirs.close()
            os.close(write_end)
        return WarmProcess(process, ours, read_end, not isinstance(self._launcher, PlainLauncher))

    def _launch(self, slot: Slot, container: WarmContainer, channel: int) -> Launch:
        binds = []
        for mount in container.mounts:
            folder = slot.folder / "volumes" / mount.volume
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            binds.append(Bind(folder, mount.path, mount.read_only))
        entry = self._commands[container.command]
        return Launch(
            command=(sys.executable, "-P", "-m", "dspy_service_runner.warm", entry, str(channel)),
            env={**self._base_env, **dict(container.env)},
            binds=tuple(binds),
            late_binds=tuple(self._claim(slot.shape.namespace, claim) for claim in container.claims),
            limits=self._waiting_limits(),
            pass_fds=(channel,),
        )

    def _waiting_limits(self) -> Limits:
        limits = self._limits
        nice = _BACKGROUND_NICE if may_lower_and_raise() else limits.nice
        return Limits(limits.most_processes, limits.open_files, nice)

    def _claim(self, namespace: str, claim: str) -> Bind:
        folder = self._claims / namespace / claim
        folder.mkdir(parents=True, exist_ok=True)
        return Bind(folder, f"/{claim}", False)

    def _died(self, slot: Slot) -> None:
        if slot in self._slots:
            self._drop(slot)
            self._taken.set()

    def _drop(self, slot: Slot) -> None:
        self._slots.remove(slot)
        slot.kill()
        task = asyncio.get_running_loop().create_task(remove_tree(slot.folder))
        self._removals.add(task)
        task.add_done_callback(self._removals.discard)
