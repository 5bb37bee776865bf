"""How a run is ended from outside: by SIGTERM (at once, with no result) or the stop file (with the best so far).

Python runs a signal's handler only after the main thread has returned from C code. So the signal also wakes a thread
(by `set_wakeup_fd`), and whichever is first ends the process. On a stop the main thread is sent a signal too: it may be
waiting for a slow model call, and the work itself checks for a stop only before and after a call.
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
    """Watches from its construction on. The stop file stops only the work whose token is armed at that time."""

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
