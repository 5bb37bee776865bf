"""Confinement by bubblewrap: the container sees the interpreter and its own volumes, in a process tree of its own.

Bubblewrap and not code of ours: it is small, reviewed, in every distribution, and takes a millisecond. Where it does
not work (no user namespaces, not Linux), `shim` runs the process as a plain child instead.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dspy_service_local.node.processes.launch import Bind, Launch
from dspy_service_local.node.processes.processes import process_limit, rlimits
from dspy_service_local.node.sandbox.visible import system_links
from dspy_service_runner.container import cold
from dspy_service_runner.container.container_request import ContainerRequest, Network

_SHARED_MEMORY_BYTES = 64 * 1024 * 1024
_TMP_BYTES = 256 * 1024 * 1024
HIDDEN = "/.late"
"""Where a process that forks containers finds their folders; each fork hides it before it becomes its job."""

_NAMESPACES = (
    *("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--hostname", "pod"),
    *("--die-with-parent", "--new-session", "--cap-drop", "ALL"),
)

_MAKING = (
    *("CAP_SYS_ADMIN", "CAP_SYS_RESOURCE", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_SETUID", "CAP_SETGID"),
    *("CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE"),
)
"""To mount, to forbid further user namespaces, to map its user into one or become another, to give up what could bring
rights back; and what making a network takes.
"""
_COLD = "import sys; sys.path.append({path!r}); from dspy_service_runner.container.cold import main; main()"
"""Without `site`, which takes longer than all the rest."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """`visible` is what every container sees; `user` is whom its processes run as, None: whoever runs the node."""

    executable: str
    visible: tuple[Bind, ...]
    hidden: tuple[str, ...] = ()
    user: int | None = None
    own_users: bool = True
    """Whether a container is in a user namespace of its own."""

    def arguments(
        self, launch: Launch, info_fd: int, block_fd: int, first: Sequence[str], own_network: bool = False
    ) -> list[str]:
        """bwrap's command line; `first` is what it runs. No job's environment is part of it: everybody can read it."""
        return [
            self.executable,
            *_users(),
            *_NAMESPACES,
            *(("--unshare-net",) if own_network else ()),
            *(part for right in _MAKING for part in ("--cap-add", right)),
            *_system(),
            *_binds([*self.visible, *launch.binds]),
            *(option for folder in self.hidden for option in ("--tmpfs", folder)),
            *(_binds(launch.hidden) if launch.hidden else ("--remount-ro", "/")),
            *("--chdir", launch.working_dir, "--info-fd", str(info_fd), "--block-fd", str(block_fd), "--"),
            *first,
        ]

    def request(self, launch: Launch, network: Network | None = None) -> ContainerRequest:
        """What is left to do inside of what bubblewrap made."""
        limits = rlimits(launch.limits) | (process_limit(launch.limits) if self.own_users else {})
        return ContainerRequest(
            argv=list(launch.command),
            env=dict(launch.env),
            cwd=launch.working_dir,
            mounts=[],
            keep=[],
            limits={int(kind): pair for kind, pair in limits.items()},
            user=os.geteuid() if self.user is None else self.user,
            group=os.getegid() if self.user is None else self.user,
            own_users=self.own_users,
            drops_root=self.user is not None,
            network=network,
        )


def cold_command(node_fd: int, request_fd: int) -> list[str]:
    """Finishes the sandbox from inside, and becomes the container's command."""
    code = _COLD.format(path=str(Path(cold.__file__).parents[2]))
    return [sys.executable, "-I", "-S", "-c", code, str(node_fd), str(request_fd)]


def memory_file(content: bytes) -> BinaryIO:
    """A file without a name, to be inherited: no limit in size, and nobody else can read it."""
    file = os.fdopen(os.memfd_create("request"), "r+b")
    file.write(content)
    file.flush()
    return file


def _users() -> tuple[str, ...]:
    """Whoever is not root becomes it in a user namespace: for any other user bubblewrap makes a second one, which may
    not mount in the first.
    """
    return ("--unshare-user", "--uid", "0", "--gid", "0") if os.geteuid() else ()


def _system() -> list[str]:
    """An empty root with /proc, /dev and a bounded /tmp; written to before the binds, which may lie below them."""
    arguments = ["--proc", "/proc", "--dev", "/dev"]
    arguments += (*_anybodys_tmpfs(_SHARED_MEMORY_BYTES, "/dev/shm"), "--remount-ro", "/dev")
    arguments += _anybodys_tmpfs(_TMP_BYTES, "/tmp")
    for place, target in system_links().items():
        arguments += ("--symlink", target, place) if target else ("--ro-bind", place, place)
    return arguments


def _binds(binds: Sequence[Bind]) -> list[str]:
    """Outer mounts before those below them: an environment below /tmp must not vanish under a volume at /tmp."""
    arguments: list[str] = []
    made: set[str] = set()
    for bind in sorted(binds, key=lambda b: b.target):
        for parent in _parents(bind, binds):
            if parent not in made:
                arguments += ("--perms", "0755", "--dir", parent)
            made.add(parent)
        arguments += ("--ro-bind" if bind.read_only else "--bind", str(bind.source), bind.target)
    return arguments


def _parents(bind: Bind, binds: Sequence[Bind]) -> list[str]:
    """The way down to it, which bubblewrap would make for its own user alone; not what another bind shows. Below a
    volume at /tmp an environment's way down is made in the volume.
    """
    parents = [place for place in reversed(Path(bind.target).parents) if str(place) != "/"]
    others = [other for other in binds if other is not bind]
    return [str(place) for place in parents if not any(_shows(other, place) for other in others)]


def _shows(bind: Bind, place: Path) -> bool:
    target = Path(bind.target)
    return place.is_relative_to(target) and (Path(bind.source) / place.relative_to(target)).exists()


def _anybodys_tmpfs(size: int, target: str) -> tuple[str, ...]:
    return ("--perms", "1777", "--size", str(size), "--tmpfs", target)
