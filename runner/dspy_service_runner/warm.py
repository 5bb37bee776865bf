"""Waits, with a command's modules imported, for the one job that this process will serve; then becomes that command.

Started by the embedded node (never in a cluster), which speaks through an inherited socket: a byte when everything is
imported, then one JSON message with arguments, environment and what is still to be mounted. No user code and nothing
of a job is seen before the sandbox is final: mounts are made, the right to make them is given up, then the job is read.
"""

import ctypes
import gc
import importlib
import json
import os
import resource
import socket
import sys
import time
from pathlib import Path
from typing import Any

_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REMOUNT, _MS_BIND, _MS_REC = 1, 2, 4, 32, 4096, 16384
_MNT_DETACH = 2
_CAPABILITY_VERSION_3 = 0x20080522
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_HIDDEN = "/.late"


def main() -> None:
    entry, channel = sys.argv[1], socket.socket(fileno=int(sys.argv[2]))
    module_name, _, function = entry.partition(":")
    module = importlib.import_module(module_name)
    if hasattr(module, "preload"):
        module.preload()
    _refuse_threads()
    gc.collect()
    gc.freeze()
    channel.sendall(b"1")
    job = _receive(channel)
    _finish_sandbox(job["mounts"])
    for kind, pair in job["limits"].items():
        resource.setrlimit(int(kind), tuple(pair))
    os.environ.clear()
    os.environ.update(job["env"])
    time.tzset()
    sys.argv = job["argv"]
    sys.exit(getattr(module, function)())


def _receive(channel: socket.socket) -> dict[str, Any]:
    """Until the node closes its end; nothing at all means that it needs us no more."""
    with channel:
        chunks = list(iter(lambda: channel.recv(65536), b""))
    if not chunks:
        sys.exit(0)
    job: dict[str, Any] = json.loads(b"".join(chunks))
    return job


def _refuse_threads() -> None:
    """Capabilities are per thread: one that was started by an import would keep the right to mount."""
    if Path(_HIDDEN).exists() and len(os.listdir("/proc/self/task")) > 1:
        sys.exit("an import started a thread: no warm start")


def _finish_sandbox(mounts: list[tuple[str, str, bool]]) -> None:
    if not Path(_HIDDEN).exists():
        return
    for source, target, read_only in mounts:
        os.makedirs(target, exist_ok=True)
        _mount(source, target, _MS_BIND | _MS_REC)
        if read_only:
            _mount("none", target, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV)
    for hidden in Path(_HIDDEN).iterdir():
        _checked(ctypes.CDLL(None, use_errno=True).umount2(str(hidden).encode(), _MNT_DETACH), str(hidden))
        hidden.rmdir()
    Path(_HIDDEN).rmdir()
    _mount("none", "/", _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV)
    _drop_capabilities()


def _mount(source: str, target: str, flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    _checked(libc.mount(source.encode(), target.encode(), None, ctypes.c_ulong(flags), None), target)


def _drop_capabilities() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    _checked(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "ambient capabilities")
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    _checked(libc.capset(header, nothing), "capabilities")


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


if __name__ == "__main__":
    main()
