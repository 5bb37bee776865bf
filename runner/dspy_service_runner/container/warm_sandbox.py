"""The rest of a sandbox, made from inside: namespaces and mounts of one container, then no right to make any more.

What bubblewrap does for a fresh process, for a fork of a process that it started: bubblewrap can only exec. The outer
sandbox has hidden everything else already, so what is added here is the container's own volumes; what is taken away is
the hidden folder that they were bound from, and the rights that all this needs (`privileges`).
"""

import os
from pathlib import Path

from dspy_service_runner.container.container_request import ContainerRequest
from dspy_service_runner.container.privileges import give_up, own_proc
from dspy_service_runner.container.syscalls import (
    BIND,
    NODEV,
    NOEXEC,
    NOSUID,
    PRIVATE,
    RDONLY,
    REC,
    REMOUNT,
    checked,
    libc,
    mount,
)

HIDDEN = "/.late"
_KEPT = "/.kept"

_CLONE_NEWNS, _CLONE_NEWUTS, _CLONE_NEWIPC, _CLONE_NEWPID = 0x00020000, 0x04000000, 0x08000000, 0x20000000
_CLONE_NEWNET = 0x40000000

_TMPFS = {"/tmp": "size=256m,mode=1777", "/dev/shm": "size=64m,mode=1777"}


def enter_namespaces(own_network: bool) -> None:
    """For the next fork, which becomes the first process of the new pid namespace."""
    network = _CLONE_NEWNET if own_network else 0
    checked(libc.unshare(_CLONE_NEWNS | _CLONE_NEWPID | _CLONE_NEWIPC | _CLONE_NEWUTS | network), "unshare")


def finish_sandbox(request: ContainerRequest) -> None:
    """What is to be hidden is mounted over, which nobody inside can undo: an unmount would wait for the kernel, 5 ms.

    (Mounts of a more privileged user namespace are locked together in any other: see mount_namespaces(7).)
    """
    umask = os.umask(0o022)  # the way to what is mounted is also for another user than this one
    mount(None, "/", REC | PRIVATE)
    for number, path in enumerate(request.keep):
        _bind(path, f"{_KEPT}/{number}")
    targets = {target for _, target, _ in request.mounts}
    covered = _covered(targets)
    for place in covered:
        os.makedirs(place, exist_ok=True)
        mount("tmpfs", place, NOSUID | NODEV, "tmpfs", _TMPFS.get(place, "size=1m,mode=755"))
    _mount_volumes(request.mounts)
    for number, path in enumerate(request.keep):
        _bind(f"{_KEPT}/{number}", path)
    mount("devpts", "/dev/pts", NOSUID | NOEXEC, "devpts", "newinstance,ptmxmode=0666,mode=620")
    proc_sys = own_proc()
    for place in (HIDDEN, *([_KEPT] if request.keep else [])):
        mount("tmpfs", place, RDONLY | NOSUID | NODEV, "tmpfs", "size=4k")
    for place in {"/", *covered} - _TMPFS.keys() - targets:
        mount(None, place, REMOUNT | BIND | RDONLY | NOSUID | NODEV)
    os.umask(umask)
    os.chdir("/")
    give_up(request, proc_sys)


def _mount_volumes(mounts: list[tuple[str, str, bool]]) -> None:
    """Outer targets first."""
    for target, source, read_only in sorted((target, source, read_only) for source, target, read_only in mounts):
        _bind(f"{HIDDEN}/{source}", target)
        if read_only:
            mount(None, target, REMOUNT | BIND | RDONLY | NOSUID | NODEV)


def _covered(targets: set[str]) -> list[str]:
    """Mount points are made in tmpfs of this container's own: siblings share the outer sandbox's root."""
    tops = {"/" + target.split("/")[1] for target in targets}
    return sorted(_TMPFS.keys() | {top for top in tops if not os.path.isdir(top) or not os.listdir(top)})


def _bind(source: str, target: str) -> None:
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if not os.path.exists(target):
            Path(target).touch()
    mount(source, target, BIND | REC)
