"""What a warm process becomes in the tests: it tells what it sees, as JSON, or does as its first argument says."""

import ctypes
import json
import os
import random
import re
import resource
import signal
import ssl
import sys
import time
from contextlib import suppress
from pathlib import Path

from machine_probe import machine

IMPORTED_BY = os.stat("/proc/self/ns/pid").st_ino
CLONE_NEWUSER = 0x10000000
ssl.RAND_bytes(8)  # from here on OpenSSL has a state that a fork could share


def main() -> int:
    match sys.argv[1:]:
        case ["sleep"]:
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
            print("sleeping", flush=True)
            while True:
                signal.pause()
        case ["killed"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["exit"]:
            sys.exit(9)
        case ["raise"]:
            raise RuntimeError
        case ["remembers", pattern]:
            print(re.findall(pattern.encode(), _memory()), flush=True)
            return 3
        case ["machine"]:
            print(json.dumps(machine()), flush=True)
            return 3
        case ["multiply"]:
            _multiply()
    print(json.dumps(_seen()), flush=True)
    return 3


def _seen() -> dict[str, object]:
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    return {
        "argv": sys.argv,
        "env": {name: os.environ.get(name) for name in ("KEY", "HOME", "POD_UID")},
        "imported in another process": os.stat("/proc/self/ns/pid").st_ino != IMPORTED_BY,
        "capabilities": [status[name] for name in ("CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd")],
        "new privileges": status["NoNewPrivs"],
        "hidden": os.listdir("/.late"),
        "owner": [os.getuid(), os.stat("/proc/self").st_uid],
        "root": _writable("/"),
        "of the first process": _links("/proc/1/fd"),
        "terminals": _listing("/dev/pts"),
        "files": {place: _listing(place) for place in sys.argv[1:]},
        "writable": {place: _writable(place) for place in sys.argv[1:]},
        "descriptors": sorted(int(fd) for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")),
        "processes": sorted(int(pid) for pid in os.listdir("/proc") if pid.isdigit()),
        "random": random.random(),
        "tls": ssl.RAND_bytes(8).hex(),
        "user namespace": "refused" if ctypes.CDLL(None).unshare(CLONE_NEWUSER) else "made",
        "limits": {
            "core": resource.getrlimit(resource.RLIMIT_CORE)[0],
            "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            "file size": resource.getrlimit(resource.RLIMIT_FSIZE)[0],
        },
    }


def _memory() -> bytes:
    """All that this process can read of what it could have been told."""
    regions = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    found = []
    with Path("/proc/self/mem").open("rb", buffering=0) as memory:
        for region in regions:
            first, last = (int(part, 16) for part in region[0].split("-"))
            if region[1].startswith("rw"):
                memory.seek(first)
                found.append(memory.read(last - first))
    return b"".join(found)


def _multiply() -> None:
    """Processes that do not want to end."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork() == 0:
        os.setsid()
        os.fork()
    print("up", flush=True)
    time.sleep(300)


def _listing(place: str) -> list[str]:
    return sorted(os.listdir(place)) if os.path.isdir(place) else ["missing"]


def _links(place: str) -> list[str]:
    """What its links name, as far as this process may know."""
    found = []
    with suppress(PermissionError):
        for name in os.listdir(place):
            with suppress(PermissionError):
                found.append(os.readlink(f"{place}/{name}"))
    return found


def _writable(place: str) -> bool:
    try:
        Path(place, "written").write_text("x")
    except OSError:
        return False
    return True
