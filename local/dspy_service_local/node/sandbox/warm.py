"""Warm starts: processes that have a command's modules imported, each forking itself for the jobs that need it.

One for each command, in the sandbox without any job's folders; what it forks makes the rest of its sandbox itself and
serves one job (`dspy_service_runner.container.warm`). Whatever cannot be started so, or not yet, is started cold.
"""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

from dspy_service_local.node.logs import ContainerLog
from dspy_service_local.node.network.networks import OwnNetwork
from dspy_service_local.node.processes.channel import Hung
from dspy_service_local.node.processes.launch import Bind, Launch
from dspy_service_local.node.processes.processes import Process, StartError
from dspy_service_local.node.sandbox.sandbox import HIDDEN
from dspy_service_local.node.sandbox.sandboxed_process import SandboxLauncher
from dspy_service_local.node.sandbox.warm_process import WarmProcess, start_warm
from dspy_service_runner.container.container_request import ContainerRequest

log = logging.getLogger(__name__)

WARM_COMMANDS: Mapping[str, str] = {
    "dspy-service-optimizer": "dspy_service_runner.optimizer.main:main",
    "dspy-service-reporter": "dspy_service_runner.reporter.main:main",
}
"""Commands whose modules take long to import, and where they begin."""

_IMPORT_ENVIRONMENT = {
    "HOME": "/tmp",
    "DSPY_CACHEDIR": "/tmp/dspy",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "PYTHONHASHSEED": "0",
}
"""What is read as Python starts and while modules are imported; everything else comes with the job."""
_OWN_TMPFS = ("/tmp", "/dev/shm")
_FIRST_DELAY, _LONGEST_DELAY = 1.0, 600.0
"""Between two tries to keep a command warm; what cannot work here costs an import of dspy each time."""


class WarmLauncher:
    """A launcher like any other; `run` keeps the waiting processes alive until cancelled."""

    def __init__(
        self,
        cold: SandboxLauncher,
        hidden: Mapping[str, Path],
        base_env: Mapping[str, str],
        log_folder: Path,
        commands: Mapping[str, str] = WARM_COMMANDS,
    ) -> None:
        """`hidden` are the folders, by a name each, that containers' folders lie in."""
        self._cold = cold
        self._hidden = hidden
        self._env = {**base_env, **_IMPORT_ENVIRONMENT}
        self._log_folder = log_folder
        self._commands = commands
        self._waiting: dict[str, WarmProcess] = {}

    @property
    def owner(self) -> int | None:
        return self._cold.owner

    @property
    def waiting(self) -> dict[str, int]:
        """The process that waits for each command, as far as there is one."""
        return {command: warm.pid for command, warm in self._waiting.items()}

    async def start(self, launch: Launch, output: int) -> Process:
        warm = self._waiting.get(launch.command[0])
        if warm:
            try:
                if process := await self._fork(warm, launch, output):
                    return process
            except (StartError, OSError) as exc:
                log.warning("no warm start of %s: %s", launch.command[0], exc)
                if isinstance(exc, Hung):
                    warm.retire()
        return await self._cold.start(launch, output)

    async def _fork(self, warm: WarmProcess, launch: Launch, output: int) -> Process | None:
        network = await self._cold.networks.plan(launch) if self._cold.networks else None
        request = self._request(launch, network)
        if request is None:
            return None
        self._cold.hand_over(output)
        try:
            process = await warm.fork(request, launch.limits, output, network)
        except BaseException:
            if network:
                network.close()
            raise
        if network:
            process.exited.add_done_callback(lambda _: network.close())
        return process

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for command, entry in self._commands.items():
                group.create_task(self._keep(command, entry))

    async def _keep(self, command: str, entry: str) -> None:
        delay = _FIRST_DELAY
        while True:
            try:
                await self._serve(command, entry)
                delay = _FIRST_DELAY
            except (StartError, OSError) as exc:
                delay = min(delay * 2, _LONGEST_DELAY)
                log.warning("%s cannot be kept warm: %s; again in %g s", command, exc, delay)
            await asyncio.sleep(delay)

    async def _serve(self, command: str, entry: str) -> None:
        """One waiting process from its start to its end."""
        for folder in self._hidden.values():
            folder.mkdir(parents=True, exist_ok=True)
        hidden = tuple(Bind(folder, f"{HIDDEN}/{name}", False) for name, folder in self._hidden.items())
        log_file = ContainerLog(self._log_folder / f"{command}.log")
        warm = await start_warm(self._cold, entry, self._env, hidden, log_file)
        try:
            await warm.ready()
            self._waiting[command] = warm
            await warm.ended()
            log.warning("the warm process of %s has ended; see its log", command)
        finally:
            self._waiting.pop(command, None)
            warm.retire()

    def _request(self, launch: Launch, network: OwnNetwork | None) -> ContainerRequest | None:
        """None when a folder of the container is not among the hidden ones."""
        binds = [*launch.binds, *([network.resolv_conf] if network else [])]
        mounts = [
            (source, bind.target, bind.read_only)
            for bind in binds
            if (source := self._below_hidden(bind.source)) is not None
        ]
        if len(mounts) < len(binds):
            return None
        covering = [*_OWN_TMPFS, *(bind.target for bind in launch.binds)]
        visible = [bind.target for bind in self._cold.sandbox.visible]
        request = self._cold.sandbox.request(launch, network.wanted if network else None)
        request.mounts = mounts
        request.keep = [path for path in visible if any(Path(path).is_relative_to(place) for place in covering)]
        return request

    def _below_hidden(self, source: Path) -> str | None:
        for name, folder in self._hidden.items():
            if source.is_relative_to(folder):
                return f"{name}/{source.relative_to(folder)}"
        return None
