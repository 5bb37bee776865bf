"""Caps the processes of a container by a cgroup of its own, where this user may make one.

The one limit that sampling cannot keep: a fork bomb has thousands of processes before anyone looks, and root is exempt
from RLIMIT_NPROC. Root can mostly write cgroups; another user only in a delegated one (`systemd-run --user --scope -p
Delegate=yes`), and is capped by RLIMIT_NPROC in any case.
"""

import asyncio
import logging
import os
import uuid
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

_PREFIX = "dspy-service-"


class ProcessCgroups:
    """`parent` is a folder of a hierarchy with the pids controller, ready to have children."""

    def __init__(self, parent: Path) -> None:
        self._parent = parent

    def place(self, pid: int, most: int, exited: asyncio.Future[int]) -> None:
        """The process, and whatever it starts from now on. The cgroup goes when `exited` is done."""
        folder = self._parent / f"{_PREFIX}{uuid.uuid4().hex[:12]}"
        try:
            folder.mkdir()
            (folder / "pids.max").write_text(str(most))
            (folder / "cgroup.procs").write_text(str(pid))
        except OSError as exc:
            log.warning("cannot cap the processes of a container: %s", exc)
        exited.add_done_callback(lambda _: _remove(folder))


def find_cgroups() -> ProcessCgroups | None:
    """Tries it out: what the files' modes say is not what counts in containers."""
    for parent in _candidates():
        with suppress(OSError):
            for left in parent.glob(f"{_PREFIX}*"):
                _remove(left)
            trial = parent / f"{_PREFIX}{os.getpid()}"
            trial.mkdir()
            try:
                (trial / "pids.max").write_text("1024")
                return ProcessCgroups(parent)
            finally:
                trial.rmdir()
    return None


def _candidates() -> list[Path]:
    """This process's own cgroups with the pids controller, by /proc/self/cgroup and the usual mount points."""
    found: list[Path] = []
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return found
    for line in lines:
        _, controllers, path = line.split(":", 2)
        root = Path("/sys/fs/cgroup")
        if "pids" in controllers.split(","):
            found.append(root / "pids" / path.lstrip("/"))
        elif not controllers and (root / "cgroup.controllers").exists():
            found += _delegated(root / path.lstrip("/"))
    return found


def _delegated(own: Path) -> list[Path]:
    """Version 2: a cgroup may have processes or children with controllers; so this process moves down first."""
    with suppress(OSError):
        if "pids" not in (own / "cgroup.controllers").read_text().split():
            return []
        if "pids" not in (own / "cgroup.subtree_control").read_text().split():
            (own / "server").mkdir(exist_ok=True)
            (own / "server" / "cgroup.procs").write_text(str(os.getpid()))
            (own / "cgroup.subtree_control").write_text("+pids")
        return [own]
    return []


def _remove(folder: Path) -> None:
    """Fails while processes are in it: then it is another node's, or the next start takes it away."""
    with suppress(OSError):
        folder.rmdir()
