"""The rights that a container's process needs while its sandbox is made, and gives up before it becomes its command.

Root becomes another user first, because files in /proc belong to the machine's root, who may write them even without
capabilities and in any user namespace. Then the container gets a user namespace of its own, inside of which no further
ones can be made, and every capability is dropped.
"""

import ctypes
import errno
import os
import resource

from dspy_service_runner.container.container_request import ContainerRequest
from dspy_service_runner.container.syscalls import (
    BIND,
    NODEV,
    NOEXEC,
    NOSUID,
    RDONLY,
    REC,
    REMOUNT,
    checked,
    libc,
    mount,
)

_CLONE_NEWUSER = 0x10000000
_CAPABILITY_VERSION_3 = 0x20080522
_PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 4, 8, 24, 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_CAPABILITIES = 64
_PROC_COVERED = ("sys", "sysrq-trigger", "irq", "bus", "fs", "acpi", "scsi")
"""Parts of /proc that control the whole machine. They are covered whatever their permissions say, because a folder that
looks read-only may hold writable files."""


def give_up(request: ContainerRequest, proc_sys: int) -> None:
    """`proc_sys` is a descriptor of /proc/sys that was opened before that was covered; it is closed here."""
    if request.drops_root:
        _change_user(request.user, request.group)
    if request.own_users:
        _own_user_namespace(proc_sys, request.user, request.group)
    os.close(proc_sys)
    _drop_capabilities()
    for kind, pair in request.limits.items():
        resource.setrlimit(kind, pair)


def own_proc() -> int:
    """Mounts /proc of this pid namespace with its settings read-only; returns a descriptor of /proc/sys that was opened
    before that was covered."""
    mount("proc", "/proc", NOSUID | NODEV | NOEXEC, "proc")
    proc_sys = os.open("/proc/sys", os.O_RDONLY | os.O_DIRECTORY)
    for place in (f"/proc/{name}" for name in _PROC_COVERED):
        if os.path.lexists(place):
            mount(place, place, BIND | REC)
            mount(None, place, REMOUNT | BIND | RDONLY | NOSUID | NODEV | NOEXEC)
    return proc_sys


def set_traceable(traceable: bool) -> None:
    """Whether processes of the same user may trace this one and take its descriptors. They must not where it is the
    process that reports the exit code to the node.
    """
    checked(libc.prctl(_PR_SET_DUMPABLE, int(traceable), 0, 0, 0), "dumpable")


def _change_user(user: int, group: int) -> None:
    """Changes the user and keeps the capabilities, which the next steps need."""
    checked(libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0), "keep capabilities")
    os.setgroups([])
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)
    if {*os.getresuid(), *os.getresgid()} - {user, group}:  # -1 as an id means "unchanged"
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), f"user {user}")
    header, sets = _header(), (ctypes.c_uint32 * 6)()
    checked(libc.capget(header, sets), "capabilities")
    sets[0], sets[3] = sets[1], sets[4]
    checked(libc.capset(header, sets), "capabilities")


def _own_user_namespace(proc_sys: int, user: int, group: int) -> None:
    """No further user namespace can be made inside it, so that less of the kernel is open to attack. The limit on the
    number of processes counts only those in this namespace."""
    outer_user, outer_group = os.getuid(), os.getgid()
    checked(libc.unshare(_CLONE_NEWUSER), "unshare")
    set_traceable(True)  # otherwise a process that changed its user does not own its files in /proc
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{user} {outer_user} 1")
    _write("/proc/self/gid_map", f"{group} {outer_group} 1")
    limit = os.open("user/max_user_namespaces", os.O_WRONLY, dir_fd=proc_sys)
    os.write(limit, b"0")
    os.close(limit)


def _drop_capabilities() -> None:
    """Empties all five sets of capabilities; no program that is executed later can bring one back."""
    for capability in range(_CAPABILITIES):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # fails for numbers that this kernel does not know
    checked(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "ambient capabilities")
    checked(libc.capset(_header(), (ctypes.c_uint32 * 6)()), "capabilities")
    checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")
    set_traceable(True)


def _header() -> ctypes.Array[ctypes.c_uint32]:
    return (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)


def _write(place: str, text: str) -> None:
    with open(place, "w") as file:
        file.write(text)
