"""Ends from outside: SIGTERM (at once, with no result) and the stop file (with the best so far).

A signal's Python handler waits for the main thread to come back from C code; so the signal's byte also wakes a thread,
and whichever is first ends the process. On a stop the main thread is signalled too: it may be waiting for a slow
model call, and the work's own checks come only before and after one.
"""

import contextlib
import os
import select
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from dspy_service_core.storage import pod_files
from dspy_service_runner.optimizer.failures import StopToken

_STOP_SIGNAL = signal.SIGUSR2


def terminate(_signal: int = 0, _frame: FrameType | None = None) -> None:
    os._exit(pod_files.EXIT_TERMINATED)


class StopSignal:
    """Watches from construction on; what is to stop is armed for as long as it may."""

    def __init__(self, stop_file: Path, interval: float) -> None:
        self._stop_file, self._interval = stop_file, interval
        self._stop_token: StopToken | None = None
        self._wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        signal.signal(signal.SIGTERM, terminate)
        signal.signal(_STOP_SIGNAL, self._interrupt)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        threading.Thread(target=self._watch, name="stop-watch", daemon=True).start()

    @contextlib.contextmanager
    def armed(self, stop_token: StopToken) -> Iterator[None]:
        self._stop_token = stop_token
        try:
            yield
        finally:
            self._stop_token = None

    def _interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        if self._stop_token is not None:
            self._stop_token.check()

    def _watch(self) -> None:
        while True:
            readable, _, _ = select.select([self._wake_read], [], [], self._interval)
            if readable and signal.SIGTERM in os.read(self._wake_read, 4096):
                terminate()
            stop_token = self._stop_token
            if stop_token is not None and not stop_token.is_stopped and self._stop_file.exists():
                stop_token.stop()
                os.kill(os.getpid(), _STOP_SIGNAL)
