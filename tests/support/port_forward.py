"""A port of a pod on the real cluster, as a port of this machine."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from kubectl import Kubectl
from whole_service import await_port, free_port


@contextmanager
def forwarded(kubectl: Kubectl, target: str, port: int) -> Iterator[int]:
    """`kubectl port-forward` to `target` (as svc/NAME), begun again whenever it ends: it dies with the pod it chose."""
    local, closed = free_port(), threading.Event()
    running: list[subprocess.Popen[bytes]] = []

    def forward() -> None:
        command = kubectl.command("port-forward", target, f"{local}:{port}")
        while not closed.is_set():
            running[:] = [subprocess.Popen(command, env=kubectl.environment(), stdout=subprocess.DEVNULL)]
            running[0].wait()
            closed.wait(0.2)

    thread = threading.Thread(target=forward, name=f"port-forward {target}", daemon=True)
    thread.start()
    try:
        await_port(local)
        yield local
    finally:
        closed.set()
        for process in running:
            process.terminate()
        thread.join(timeout=10)
