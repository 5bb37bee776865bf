"""Finding and killing one process of a whole service, as an unlucky machine would."""

import signal

import psutil

from living import command_line, name, parent
from waiting import wait_for
from whole_service import Service

_LONGEST_NAME = 15


def kill(service: Service, *words: str) -> None:
    """SIGKILL to the innermost process whose command line has all the words, once there is one."""
    found = wait_for(lambda: _matching(service, words), timeout=30, what=f"a process with {words}")
    found[-1].send_signal(signal.SIGKILL)


def kill_container(service: Service, command: str) -> None:
    """SIGKILL to the process that the container's command is, started for it or forked from a warm one."""
    found = wait_for(
        lambda: [p for p in service.processes() if name(p) == command[:_LONGEST_NAME]], timeout=30, what=command
    )
    found[-1].send_signal(signal.SIGKILL)


def waiting(service: Service, entry: str) -> psutil.Process:
    """The process that has imported the entry's module and waits for jobs: a shell's child, as no fork of it is."""
    return wait_for(
        lambda: next(filter(_is_keepers, _matching(service, ("dspy_service_runner.container.warm", entry))), None),
        timeout=60,
        what=f"a warm process of {entry}",
    )


def _is_keepers(process: psutil.Process) -> bool:
    keeper = parent(process)
    return name(process).startswith("python") and keeper is not None and name(keeper) == "sh"


def _matching(service: Service, words: tuple[str, ...]) -> list[psutil.Process]:
    return [process for process in service.processes() if all(word in command_line(process) for word in words)]
