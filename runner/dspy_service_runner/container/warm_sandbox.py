"""Makes the rest of a sandbox from inside: namespaces and mounts of one container. Then it gives up the right to do so.

It does for a fork of a warm process what bubblewrap does for a fresh process, since bubblewrap can only exec. The outer
sandbox has hidden everything else already. So this adds the container's own volumes, and then covers the hidden folder
that they come from and drops the rights that all this needs (`privileges`).
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
    """The pid namespace applies from the next fork on, which becomes its first process."""
    network = _CLONE_NEWNET if own_network else 0
    checked(libc.unshare(_CLONE_NEWNS | _CLONE_NEWPID | _CLONE_NEWIPC | _CLONE_NEWUTS | network), "unshare")


def finish_sandbox(request: ContainerRequest) -> None:
    """What must be hidden is covered by a mount, since an unmount would wait 5 ms for the kernel. Nobody inside can
    take the cover away, because mounts that come from a more privileged user namespace are locked together in a less
    privileged one: see mount_namespaces(7).
    """
    umask = os.umask(0o022)  # the folders on the way to a mount must be open to the container's user
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
    """Mounts outer targets first, so that they do not cover inner ones."""
    for target, source, read_only in sorted((target, source, read_only) for source, target, read_only in mounts):
        _bind(f"{HIDDEN}/{source}", target)
        if read_only:
            mount(None, target, REMOUNT | BIND | RDONLY | NOSUID | NODEV)


def _covered(targets: set[str]) -> list[str]:
    """The folders over which a tmpfs is mounted. Mount points are made in these and not in the outer sandbox's root,
    because all containers of the warm process share that."""
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
