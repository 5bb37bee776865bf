"""Tells the event loop when a child process ends, without polling and without a thread a process."""

import asyncio
import os
import subprocess
import threading
from collections.abc import Callable


def watch_exit(child: subprocess.Popen[bytes]) -> asyncio.Future[int]:
    """The future's result is the exit code as a container runtime counts it: 128 + n for signal n."""
    loop = asyncio.get_running_loop()
    exited: asyncio.Future[int] = loop.create_future()

    def done(code: int) -> None:
        if not exited.done():
            exited.set_result(128 - code if code < 0 else code)

    if not hasattr(os, "pidfd_open"):  # macOS
        threading.Thread(target=lambda: loop.call_soon_threadsafe(done, child.wait()), daemon=True).start()
        return exited
    descriptor = os.pidfd_open(child.pid)

    def readable() -> None:
        loop.remove_reader(descriptor)
        os.close(descriptor)
        done(child.wait())

    loop.add_reader(descriptor, readable)
    return exited


def watch_end(pid: int, ended: Callable[[], None]) -> None:
    """The same for a process that is somebody else's child (Linux); of that one there is no exit code."""
    loop = asyncio.get_running_loop()
    descriptor = os.pidfd_open(pid)

    def readable() -> None:
        loop.remove_reader(descriptor)
        os.close(descriptor)
        ended()

    loop.add_reader(descriptor, readable)
