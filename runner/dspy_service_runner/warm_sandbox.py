"""The rest of a sandbox, made from inside: namespaces and mounts of one container, then no right to make any more.

What bubblewrap does for a fresh process, for a fork of a process that it started: bubblewrap can only exec. The outer
sandbox has hidden everything else already, so what is added here is the container's own volumes; what is taken away is
the hidden folder that they were bound from, and the one capability that all this needs.
"""

import ctypes
import os
from pathlib import Path

from dspy_service_runner.warm_request import ContainerRequest

HIDDEN = "/.late"
_KEPT = "/.kept"

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNS, _CLONE_NEWUTS, _CLONE_NEWIPC, _CLONE_NEWPID = 0x00020000, 0x04000000, 0x08000000, 0x20000000
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT, _BIND, _REC, _PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
_CAPABILITY_VERSION_3 = 0x20080522
_PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 4, 24, 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_CAPABILITIES = 64

_TMPFS = {"/tmp": "size=256m,mode=1777", "/dev/shm": "size=64m,mode=1777"}
_PROC_COVERED = ("sys", "sysrq-trigger", "irq", "bus")
"""As bubblewrap: root without capabilities still owns these files."""

_libc = ctypes.CDLL(None, use_errno=True)


def enter_namespaces() -> None:
    """For the next fork, which becomes the first process of the new pid namespace."""
    _checked(_libc.unshare(_CLONE_NEWNS | _CLONE_NEWPID | _CLONE_NEWIPC | _CLONE_NEWUTS), "unshare")


def finish_sandbox(request: ContainerRequest) -> None:
    """What is to be hidden is mounted over, which nobody inside can undo: an unmount would wait for the kernel, 5 ms.

    (Mounts of a more privileged user namespace are locked together in any other: see mount_namespaces(7).)
    """
    _mount(None, "/", _REC | _PRIVATE)
    for number, path in enumerate(request.keep):
        _bind(path, f"{_KEPT}/{number}")
    targets = {target for _, target, _ in request.mounts}
    covered = _covered(targets)
    for place in covered:
        os.makedirs(place, exist_ok=True)
        _mount("tmpfs", place, _NOSUID | _NODEV, "tmpfs", _TMPFS.get(place, "size=1m,mode=755"))
    _mount_volumes(request.mounts)
    for number, path in enumerate(request.keep):
        _bind(f"{_KEPT}/{number}", path)
    _mount("devpts", "/dev/pts", _NOSUID | _NOEXEC, "devpts", "newinstance,ptmxmode=0666,mode=620")
    proc_sys = _own_proc()
    for place in (HIDDEN, *([_KEPT] if request.keep else [])):
        _mount("tmpfs", place, _RDONLY | _NOSUID | _NODEV, "tmpfs", "size=4k")
    for place in {"/", *covered} - _TMPFS.keys() - targets:
        _mount(None, place, _REMOUNT | _BIND | _RDONLY | _NOSUID | _NODEV)
    os.chdir("/")
    if request.own_users:
        _own_user_namespace(proc_sys, request.user, request.group)
    os.close(proc_sys)
    _drop_capabilities()


def set_traceable(traceable: bool) -> None:
    """Whether processes of the same user may trace this one and take its descriptors: not the one that tells the node
    how all ended.
    """
    _checked(_libc.prctl(_PR_SET_DUMPABLE, int(traceable), 0, 0, 0), "dumpable")


def _mount_volumes(mounts: list[tuple[str, str, bool]]) -> None:
    """Outer targets first."""
    for target, source, read_only in sorted((target, source, read_only) for source, target, read_only in mounts):
        _bind(f"{HIDDEN}/{source}", target)
        if read_only:
            _mount(None, target, _REMOUNT | _BIND | _RDONLY | _NOSUID | _NODEV)


def _covered(targets: set[str]) -> list[str]:
    """Mount points are made in tmpfs of this container's own: siblings share the outer sandbox's root."""
    tops = {"/" + target.split("/")[1] for target in targets}
    return sorted(_TMPFS.keys() | {top for top in tops if not os.path.isdir(top) or not os.listdir(top)})


def _own_proc() -> int:
    """A descriptor of /proc/sys from before it was covered."""
    _mount("proc", "/proc", _NOSUID | _NODEV | _NOEXEC, "proc")
    proc_sys = os.open("/proc/sys", os.O_RDONLY | os.O_DIRECTORY)
    for name in _PROC_COVERED:
        place = f"/proc/{name}"
        if os.access(place, os.W_OK):
            _mount(place, place, _BIND | _REC)
            _mount(None, place, _REMOUNT | _BIND | _RDONLY | _NOSUID | _NODEV | _NOEXEC)
    return proc_sys


def _own_user_namespace(proc_sys: int, user: int, group: int) -> None:
    """In which there may be no other: less of the kernel to attack. Processes are counted and limited in it."""
    outer_user, outer_group = os.getuid(), os.getgid()
    _checked(_libc.unshare(_CLONE_NEWUSER), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {outer_user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {outer_group} 1")
    limit = os.open("user/max_user_namespaces", os.O_WRONLY, dir_fd=proc_sys)
    os.write(limit, b"0")
    os.close(limit)


def _bind(source: str, target: str) -> None:
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        Path(target).touch()
    _mount(source, target, _BIND | _REC)


def _mount(source: str | None, target: str, flags: int, kind: str | None = None, data: str | None = None) -> None:
    encoded = [None if text is None else text.encode() for text in (source, target, kind, data)]
    result = _libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3])
    _checked(result, f"mount {target}")


def _drop_capabilities() -> None:
    """All five sets, and no program to be run can bring any back."""
    for capability in range(_CAPABILITIES):
        _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # fails for those that this kernel does not know
    _checked(_libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "ambient capabilities")
    header, nothing = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    _checked(_libc.capset(header, nothing), "capabilities")
    _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
