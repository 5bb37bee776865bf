"""Scheduling priority of a process with all its threads and, where the kernel groups by session, of its group."""

import os
from contextlib import suppress
from pathlib import Path

_NICEST = 19


def may_lower_and_raise() -> bool:
    """Whoever is not root can be nice but never less nice again."""
    return os.geteuid() == 0


def behind(steps: int) -> int:
    """As a niceness: that many steps after this process, which may have been started nice, and whoever is not root may
    make nothing less nice than itself.
    """
    return min(os.getpriority(os.PRIO_PROCESS, 0) + steps, _NICEST)


def set_nice(pid: int, nice: int) -> None:
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            os.setpriority(os.PRIO_PROCESS, int(thread), nice)
        Path(f"/proc/{pid}/autogroup").write_text(str(nice))
