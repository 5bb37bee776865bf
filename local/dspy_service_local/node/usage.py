"""Watches what running containers use: memory, processes, and the size of their emptyDir volumes.

By sampling, because that works for every user on every system: cgroups can mostly be written by root alone. A look
costs as much as the containers have processes, however many the machine has; all volumes share one `du`; nothing runs
while nothing runs.
"""

import asyncio
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

log = logging.getLogger(__name__)

PROCESS_SECONDS = 0.2
VOLUME_SECONDS = 1.0
_VOLUME_SHARE = 10
"""`du` of many files takes long: it is run so rarely that it takes at most a tenth of the time."""
_LISTS_CHILDREN = Path(f"/proc/self/task/{os.getpid()}/children").exists()
"""As kernels of distributions do (CONFIG_PROC_CHILDREN); without it the whole process table is read."""


@dataclass(frozen=True, slots=True)
class WatchedContainer:
    """`root` gives the process at the top of the container, or None when there is none."""

    root: Callable[[], int | None]
    memory: int | None
    processes: int
    out_of_memory: Callable[[int], None]
    too_many_processes: Callable[[int], None]


@dataclass(frozen=True, slots=True)
class WatchedVolume:
    folder: Path
    limit: int
    too_large: Callable[[], None]


class UsageWatch:
    def __init__(self) -> None:
        self._containers: set[WatchedContainer] = set()
        self._volumes: set[WatchedVolume] = set()
        self._something = asyncio.Event()

    def add(self, watched: WatchedContainer | WatchedVolume) -> None:
        (self._containers if isinstance(watched, WatchedContainer) else self._volumes).add(watched)  # type: ignore[arg-type]  # the test beside it
        self._something.set()

    def discard(self, watched: Iterable[WatchedContainer | WatchedVolume]) -> None:
        self._containers.difference_update(watched)
        self._volumes.difference_update(watched)
        if not self._containers and not self._volumes:
            self._something.clear()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_processes())
            group.create_task(self._watch_volumes())

    async def _watch_processes(self) -> None:
        while True:
            await self._something.wait()
            try:
                _check_processes(list(self._containers))
            except (psutil.Error, OSError):
                log.warning("cannot read the process table", exc_info=True)
            await asyncio.sleep(PROCESS_SECONDS)

    async def _watch_volumes(self) -> None:
        while True:
            await self._something.wait()
            begun = time.monotonic()
            try:
                await _check_volumes(list(self._volumes))
            except OSError:
                log.warning("cannot measure volumes", exc_info=True)
            await asyncio.sleep(max(VOLUME_SECONDS, _VOLUME_SHARE * (time.monotonic() - begun)))


def _check_processes(containers: list[WatchedContainer]) -> None:
    for container in containers:
        root = container.root()
        if root is not None:
            _check_container(container, _descendants(root))


def _check_container(container: WatchedContainer, members: list[int]) -> None:
    count = len(members)
    if count > container.processes:
        container.too_many_processes(count)
        return
    if container.memory is None or _sum(members, _resident) <= container.memory:
        return
    used = _sum(members, _unique)  # resident counts shared pages once for each process: look closer before killing
    if used > container.memory:
        container.out_of_memory(used)


def _descendants(root: int) -> list[int]:
    if not _LISTS_CHILDREN:
        return [process.pid for process in psutil.Process(root).children(recursive=True)]
    found: list[int] = []
    waiting = [root]
    while waiting:
        below = _children(waiting.pop())
        found += below
        waiting += below
    return found


def _children(pid: int) -> list[int]:
    """Of all its threads: the kernel lists a child with the one that forked it. None of a process that has ended."""
    found: list[int] = []
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split())
    return found


def _sum(members: list[int], measure: Callable[[psutil.Process], int]) -> int:
    total = 0
    for pid in members:
        try:
            total += measure(psutil.Process(pid))
        except psutil.Error:
            continue
    return total


def _resident(process: psutil.Process) -> int:
    return int(process.memory_info().rss)


def _unique(process: psutil.Process) -> int:
    full = process.memory_full_info()
    return int(getattr(full, "pss", full.uss))


async def _check_volumes(volumes: list[WatchedVolume]) -> None:
    sizes = await _sizes([volume.folder for volume in volumes])
    for volume in volumes:
        if sizes.get(str(volume.folder), 0) > volume.limit:
            volume.too_large()


async def _sizes(folders: list[Path]) -> dict[str, int]:
    """By `du`, which copes with trees too deep or too strange for a walk of our own: user code made them."""
    program = shutil.which("du")
    if not folders or not program:
        return {}
    child = await asyncio.create_subprocess_exec(
        program,
        "-skx",
        "--",
        *(str(folder) for folder in folders),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
    )
    output, _ = await child.communicate()
    lines = (line.split("\t", 1) for line in output.decode(errors="replace").splitlines() if "\t" in line)
    return {path: int(size) * 1024 for size, path in lines}
