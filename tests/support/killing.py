"""Finding and killing one process of a whole service, as an unlucky machine would."""

import signal

import psutil

from waiting import wait_for
from whole_service import Service


def kill(service: Service, *words: str) -> None:
    """SIGKILL to the innermost process whose command line has all the words, once there is one."""
    found = wait_for(lambda: _matching(service, words), timeout=30, what=f"a process with {words}")
    found[-1].send_signal(signal.SIGKILL)


def _matching(service: Service, words: tuple[str, ...]) -> list[psutil.Process]:
    return [process for process in service.processes() if all(word in _command(process) for word in words)]


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
