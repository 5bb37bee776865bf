"""The API and the operator as children: restarted when they die, logged to files, stopped in time."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dspy_service_local.node.logs import ContainerLog, LogPipe
from dspy_service_local.node.processes.exits import watch_exit

log = logging.getLogger(__name__)

_FIRST_DELAY, _LONGEST_DELAY, _STEADY_SECONDS = 0.5, 30.0, 60.0
_STOP_SECONDS = 6.0


@dataclass(frozen=True, slots=True)
class ChildCommand:
    """`entry` is `module:function`; `env` is the child's whole environment."""

    name: str
    entry: str
    env: Mapping[str, str]
    log_file: Path


class Child:
    def __init__(self, command: ChildCommand) -> None:
        self._command = command
        self._stopping = False
        self._process: subprocess.Popen[bytes] | None = None
        self._exited: asyncio.Future[int] | None = None

    @property
    def name(self) -> str:
        return self._command.name

    async def run(self) -> None:
        """Until `stop`, after which it is not run again."""
        loop, delay = asyncio.get_running_loop(), _FIRST_DELAY
        while True:
            begun = loop.time()
            code = await self._once()
            if self._stopping:
                await asyncio.Event().wait()
            delay = _FIRST_DELAY if loop.time() - begun > _STEADY_SECONDS else min(delay * 2, _LONGEST_DELAY)
            log.warning("%s ended with %d; again in %.1f s", self._command.name, code, delay)
            await asyncio.sleep(delay)

    async def stop(self) -> None:
        self._stopping = True
        process, exited = self._process, self._exited
        if process is None or exited is None or exited.done():
            return
        process.send_signal(signal.SIGTERM)
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(exited), _STOP_SECONDS)
        if not exited.done():
            process.kill()
            await exited

    async def _once(self) -> int:
        read_end, write_end = os.pipe()
        alive_read, alive_write = os.pipe()
        pipe = LogPipe(read_end, ContainerLog(self._command.log_file))
        try:
            try:
                self._process = self._start(alive_read, write_end)
            finally:
                os.close(write_end)
                os.close(alive_read)
            self._exited = watch_exit(self._process)
            return await asyncio.shield(self._exited)
        finally:
            os.close(alive_write)
            pipe.close()

    def _start(self, alive: int, output: int) -> subprocess.Popen[bytes]:
        """In a session of its own: Ctrl-C on the terminal is `up`'s to handle."""
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "dspy_service_local.up.child", self._command.entry, self._command.name],
            env=dict(self._command.env),
            stdin=alive,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
