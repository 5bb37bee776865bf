"""What a container could change of the machine that it runs on; standard library alone, as it runs inside."""

import os
from typing import Any

UNSETTABLE = {"settable": [], "other places": [], "enough tried": True}
_PLACES = ("/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs", "/proc/acpi", "/proc/scsi", "/sys")
_LEAST = 100


def machine() -> dict[str, Any]:
    """Every file of /proc/sys, opened for writing."""
    tried = _files("/proc/sys")
    others = [path for place in _PLACES for path in (_files(place) if os.path.isdir(place) else [place])]
    return {
        "settable": [path for path in tried if _opens(path)][:5],
        "other places": [path for path in others if _opens(path)][:5],
        "enough tried": len(tried) >= _LEAST,
    }


def users_of(host: Any, pod: str) -> set[str]:
    """Whom this machine takes the container's command for: real, effective, saved and file system user."""
    roots = [run.process for run in host.node._runs[host.pod(pod)["metadata"]["uid"]]._runs.values() if run.process]
    with open(f"/proc/{roots[0].command()}/status") as status:
        line = next(line for line in status if line.startswith("Uid:"))
    return set(line.split()[1:])


def _files(place: str) -> list[str]:
    return [os.path.join(folder, name) for folder, _, names in os.walk(place) for name in names]


def _opens(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_WRONLY))
    except OSError:
        return False
    return True


if __name__ == "__main__":
    import json

    print(json.dumps(machine()))
