"""`dspy-service up` as a child: started, awaited, and stopped whatever happens to the demo.

The child is its own process group, so that Ctrl-C on the terminal reaches the demo alone, which then stops it in
order; if it does not stop in time, its whole group is killed. Its standard input stays open as long as the demo lives:
`kept_service.py` takes its end for a sign to stop.
"""

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path

READY_SECONDS = 90.0
"""A cold start on a slow disk; usually it is a few seconds."""
STOP_SECONDS = 15.0
_READY = re.compile(r"ready at (https?://\S+)")
_KEPT_LINES = 40
_UP = (sys.executable, "-m", "dspy_service_local.demo.kept_service")


class ServiceDidNotStart(Exception):
    """The message holds the child's last lines."""


@contextlib.contextmanager
def running_service(data_dir: Path, port: int, command: tuple[str, ...] = _UP, *, token: bool = False) -> Iterator[str]:
    """The service's URL, while it runs. `token`: it makes one, which the client finds."""
    arguments = [*command, "--data-dir", str(data_dir), "--port", str(port), *(["--token"] if token else [])]
    child = subprocess.Popen(
        arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        yield _wait_until_ready(child)
    finally:
        _stop(child)


def _wait_until_ready(child: "subprocess.Popen[str]") -> str:
    lines: deque[str] = deque(maxlen=_KEPT_LINES)
    address: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read, args=(child, lines, address), name="up-output", daemon=True).start()
    try:
        url = address.get(timeout=READY_SECONDS)
    except queue.Empty:
        url = ""
    if not url:
        raise ServiceDidNotStart("The service did not start. Its last words:\n" + "".join(lines))
    return url


def _read(child: "subprocess.Popen[str]", lines: deque[str], address: "queue.Queue[str]") -> None:
    """To the end: a child whose output nobody reads would stop when the pipe is full."""
    assert child.stdout is not None
    for line in child.stdout:
        lines.append(line)
        if found := _READY.search(line):
            address.put(found[1].rstrip(",;"))
    address.put("")


def _stop(child: "subprocess.Popen[str]") -> None:
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
