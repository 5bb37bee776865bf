"""Confinement by bubblewrap: the container sees the interpreter and its own volumes, in a process tree of its own.

Bubblewrap and not code of ours: it is small, reviewed, in every distribution, and takes a millisecond. Where it does
not work (no user namespaces, not Linux), `shim` runs the process as a plain child instead.
"""

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dspy_service_local.node.launch import Bind, Launch, Limits
from dspy_service_local.node.visible import system_links, visible_paths

log = logging.getLogger(__name__)

_PROBE_SECONDS = 20
_SHARED_MEMORY_BYTES = 64 * 1024 * 1024
_TMP_BYTES = 256 * 1024 * 1024
HIDDEN = "/.late"
"""Where a process that forks containers finds their folders; each fork hides it before it becomes its job."""

_NAMESPACES = (
    *("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--hostname", "pod"),
    *("--die-with-parent", "--new-session", "--cap-drop", "ALL"),
)

_MAKING = ("CAP_SYS_ADMIN", "CAP_SYS_RESOURCE", "CAP_SETFCAP", "CAP_SETPCAP")
"""To mount, to forbid further user namespaces, to map its user into one, to give up what could bring rights back."""

_VARIANTS: tuple[tuple[str, ...], ...] = (
    ("--unshare-user", "--disable-userns"),
    ("--unshare-user",),
    (),
)
"""Best first: without user namespaces of its own the sandbox has less of the kernel to attack. The last needs root."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """`variant` are the options that the probe found working, `visible` is what every container sees."""

    executable: str
    variant: tuple[str, ...]
    visible: tuple[Bind, ...]
    hidden: tuple[str, ...] = ()

    @property
    def own_users(self) -> bool:
        """Whether a container is in a user namespace of its own."""
        return "--unshare-user" in self.variant

    def arguments(self, launch: Launch, info_fd: int, block_fd: int) -> list[str]:
        """bwrap's command line. The environment is never part of it: everybody can read the process list."""
        forks = bool(launch.hidden)
        return [
            self.executable,
            *(option for option in self.variant if not (forks and option == "--disable-userns")),
            *_NAMESPACES,
            *_system(),
            *_binds([*self.visible, *launch.binds]),
            *(option for folder in self.hidden for option in ("--tmpfs", folder)),
            *(_may_mount(launch.hidden) if forks else ("--remount-ro", "/")),
            *("--chdir", launch.working_dir, "--info-fd", str(info_fd), "--block-fd", str(block_fd), "--"),
            *launch.command,
        ]


def find_sandbox(environment: Mapping[str, str], data_folder: Path, extra: Sequence[Path] = ()) -> Sandbox | str:
    """The sandbox, or the reason why there is none, in words for the user."""
    executable = shutil.which("bwrap")
    if not executable:
        return "bubblewrap (bwrap) is not installed"
    visible = tuple(visible_paths(environment, extra))
    hidden = tuple(str(data_folder) for bind in visible if data_folder.is_relative_to(bind.source))
    problem = ""
    for variant in _VARIANTS:
        candidate = Sandbox(executable, variant, visible, hidden)
        problem = _probe(candidate)
        if not problem:
            return candidate
    return f"bubblewrap does not work here: {problem}"


def _probe(sandbox: Sandbox) -> str:
    """Runs the interpreter inside once; empty when that worked."""
    null = os.open(os.devnull, os.O_RDWR)
    try:
        launch = Launch((sys.executable, "-I", "-S", "-c", "pass"), {}, Limits(64, 64, 0))
        done = subprocess.run(
            sandbox.arguments(launch, null, null),
            pass_fds=[null],
            env={},
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        return str(exc)
    finally:
        os.close(null)
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]


def _system() -> list[str]:
    """An empty root with /proc, /dev and a bounded /tmp; written to before the binds, which may lie below them."""
    arguments = ["--proc", "/proc", "--dev", "/dev"]
    arguments += ("--size", str(_SHARED_MEMORY_BYTES), "--tmpfs", "/dev/shm", "--remount-ro", "/dev")
    arguments += ("--size", str(_TMP_BYTES), "--tmpfs", "/tmp")
    for place, target in system_links().items():
        arguments += ("--symlink", target, place) if target else ("--ro-bind", place, place)
    return arguments


def _binds(binds: Sequence[Bind]) -> list[str]:
    """Outer mounts before those below them: an environment below /tmp must not vanish under a volume at /tmp."""
    arguments: list[str] = []
    for bind in sorted(binds, key=lambda b: b.target):
        arguments += ("--ro-bind" if bind.read_only else "--bind", str(bind.source), bind.target)
    return arguments


def _may_mount(hidden: Sequence[Bind]) -> list[str]:
    """For a process that makes its forks' sandboxes; each of them gives these rights up before it becomes its job.

    As root of its user namespace: for any other user bubblewrap makes a second one, which may not mount in the first.
    """
    arguments = [part for right in _MAKING for part in ("--cap-add", right)]
    return [*arguments, *(("--uid", "0", "--gid", "0") if os.geteuid() else ()), *_binds(hidden)]
