"""Tries out once, when the node starts, whether this machine can confine a container as `sandbox` wants it."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from dspy_service_local.node.processes.launch import POD_USER, Launch, ProcessLimits
from dspy_service_local.node.sandbox.sandbox import Sandbox, cold_command, memory_file
from dspy_service_local.node.sandbox.visible import visible_paths
from dspy_service_runner.container.container_request import GO, READY

_PROBE_SECONDS = 20
_MESSAGE_BYTES = 4096
_TRIED = (sys.executable, "-P", "-c", "import dspy_service_core, dspy_service_runner")
"""The user that containers run as must be able to read what they are made of."""


def find_sandbox(
    environment: Mapping[str, str], data_folder: Path, extra: Sequence[Path] = (), user: int = POD_USER
) -> Sandbox | str:
    """The sandbox, or the reason why there is none, in words for the user. `user` is whom root's containers run as."""
    executable = shutil.which("bwrap")
    if not executable:
        return "bubblewrap (bwrap) is not installed"
    root = os.geteuid() == 0
    visible = tuple(visible_paths(environment, extra))
    hidden = tuple(str(data_folder) for bind in visible if data_folder.is_relative_to(bind.source))
    problem = ""
    for own_users in (True, False) if root else (True,):
        candidate = Sandbox(executable, visible, hidden, user if root else None, own_users)
        problem = _probe(candidate)
        if not problem:
            return candidate
    return f"bubblewrap does not work here{f', for containers as user {user}' if root else ''}: {problem}"


def _probe(sandbox: Sandbox) -> str:
    """Runs the interpreter inside once, as a container would; empty when that worked."""
    launch = Launch(_TRIED, {}, ProcessLimits(64, 64, 0))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    null = os.open(os.devnull, os.O_RDWR)
    try:
        with ours, theirs, memory_file(sandbox.request(launch).encode()) as request:
            ours.send(GO)
            first = cold_command(theirs.fileno(), request.fileno())
            done = subprocess.run(
                sandbox.arguments(launch, null, null, first),
                pass_fds=[null, theirs.fileno(), request.fileno()],
                env={},
                capture_output=True,
                text=True,
                timeout=_PROBE_SECONDS,
            )
            theirs.close()
            said = ours.recv(_MESSAGE_BYTES)
    except (OSError, subprocess.TimeoutExpired) as exc:
        return str(exc)
    finally:
        os.close(null)
    if done.returncode == 0:
        return ""
    reasons = [said.decode(errors="replace")] if said not in (b"", READY) else done.stderr.strip().splitlines()
    return (reasons or [f"exit code {done.returncode}"])[-1]
