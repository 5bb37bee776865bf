"""One container of a pod over its whole life: starts, ends, restarts, and how that reads in the pod's status."""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from dspy_service_local.node.logs import ContainerLog, LogPipe
from dspy_service_local.node.pods.model import Container
from dspy_service_local.node.pods.status import ContainerStatus, Running, Terminated, Waiting
from dspy_service_local.node.processes.launch import Launch
from dspy_service_local.node.processes.processes import Launcher, Process, StartError

log = logging.getLogger(__name__)

_SIGTERM_BIT = 1 << 14
_HAS_PROC = Path("/proc/self/status").exists()
_HANDLER_SECONDS = 0.02
STARTUP_SECONDS = 5.0
"""So long a young process may take to install its SIGTERM handler, before the signal is sent all the same."""


class ContainerRun:
    """`changed` is called after every change of `status`; `now` is the clock of what the status says."""

    def __init__(
        self,
        spec: Container,
        status: ContainerStatus,
        log_path: Path,
        changed: Callable[[], None],
        now: Callable[[], datetime],
    ) -> None:
        self.spec = spec
        self.status = status
        self.process: Process | None = None
        self._log_path = log_path
        self._changed = changed
        self._now = now
        self._killed_for: tuple[str, str] | None = None
        self._started_at = 0.0
        self._ended = asyncio.Event()

    @property
    def running(self) -> bool:
        return isinstance(self.status.state, Running)

    async def start(self, launcher: Launcher, launch: Launch) -> None:
        """A container that cannot be started has ended with `StartError`, as under a kubelet."""
        read_end, write_end = os.pipe()
        pipe = LogPipe(read_end, ContainerLog(self._log_path))
        try:
            process = await launcher.start(launch, write_end)
        except StartError as exc:
            os.close(write_end)
            pipe.close()
            self._set_ended(128, "StartError", str(exc))
            return
        except BaseException:
            os.close(write_end)
            pipe.close()
            raise
        os.close(write_end)
        self._runs(process, pipe)

    def _runs(self, process: Process, pipe: LogPipe) -> None:
        self.process = process
        self._killed_for = None
        self._ended = asyncio.Event()
        self._started_at = time.monotonic()
        log.debug("container %s runs: %s", self.spec.name, self._log_path)
        self.status.state = Running(self._now())
        self.status.started = self.spec.startup_probe is None
        self._changed()
        process.exited.add_done_callback(lambda exited: self._exited(exited.result(), pipe))

    async def wait(self) -> Terminated:
        await self._ended.wait()
        assert isinstance(self.status.state, Terminated)
        return self.status.state

    def set_waiting(self, reason: str, message: str) -> None:
        """Before a start, or between two of them."""
        if self.status.state != Waiting(reason, message):
            self.status.state = Waiting(reason, message)
            self._changed()

    def prepare_restart(self) -> None:
        """What the container was becomes its last state."""
        if isinstance(self.status.state, Terminated):
            self.status.last = self.status.state
            self.status.restarts += 1
            self.set_waiting("CrashLoopBackOff", "")

    def set_started(self) -> None:
        self.status.started = True
        self._changed()

    async def terminate(self) -> None:
        """SIGTERM, as soon as a young process can catch it: before, the signal would end it without a drain."""
        while self.running and self.process and time.monotonic() < self._started_at + STARTUP_SECONDS:
            if _catches_sigterm(self.process.command()):
                break
            await asyncio.sleep(_HANDLER_SECONDS)
        if self.running and self.process:
            log.debug("container %s gets SIGTERM: %s", self.spec.name, self._log_path)
            self.process.terminate()

    def terminate_now(self) -> None:
        if self.running and self.process:
            self.process.terminate()

    def kill(self, reason: str = "", message: str = "") -> None:
        """`reason` stands in the status instead of what the exit code says."""
        if self.running and self.process:
            self._killed_for = (reason, message) if reason else self._killed_for
            self.process.kill()

    def _exited(self, code: int, pipe: LogPipe) -> None:
        pipe.close()
        self.process = None
        reason, message = self._killed_for or ("Completed" if code == 0 else "Error", "")
        self._set_ended(code, reason, message)

    def _set_ended(self, code: int, reason: str, message: str) -> None:
        started = self.status.state.started_at if isinstance(self.status.state, Running) else None
        self.status.state = Terminated(code, reason, message, started, self._now())
        self.status.started = False
        log.debug("container %s has ended with %d: %s", self.spec.name, code, self._log_path)
        self._ended.set()
        self._changed()


def _catches_sigterm(pid: int | None) -> bool:
    """Whether SIGTERM is handled, ignored, or blocked to be waited for; True where the system does not tell."""
    if pid is None:
        return not _HAS_PROC
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return True
    masks = [int(line.split()[1], 16) for line in lines if line.startswith(("SigCgt", "SigIgn", "SigBlk"))]
    return any(mask & _SIGTERM_BIT for mask in masks)
