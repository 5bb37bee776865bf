"""What a warm process becomes in the tests: it tells what it sees, as JSON."""

import json
import os
import sys
from pathlib import Path

IMPORTED_IN = os.getpid()


def main() -> int:
    print(json.dumps(_seen()), flush=True)
    return 3


def _seen() -> dict[str, object]:
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    return {
        "argv": sys.argv,
        "env": {name: os.environ.get(name) for name in ("KEY", "HOME", "POD_UID")},
        "same process": os.getpid() == IMPORTED_IN,
        "capabilities": [status[name] for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")],
        "late": os.path.exists("/.late"),
        "root": _writable("/"),
        "files": {place: _listing(place) for place in sys.argv[1:]},
        "writable": {place: _writable(place) for place in sys.argv[1:]},
    }


def _listing(place: str) -> list[str]:
    return sorted(os.listdir(place)) if os.path.isdir(place) else ["missing"]


def _writable(place: str) -> bool:
    try:
        Path(place, "written").write_text("x")
    except OSError:
        return False
    return True
