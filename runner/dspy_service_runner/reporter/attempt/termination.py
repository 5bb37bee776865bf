"""SIGTERM is blocked from the start, and every pause is a wait for it; there is no handler.

Without a handler, nothing is interrupted half-way. And a parent that starts a reporter only to let it drain can block
the signal and send it at once: a blocked signal stays pending through exec, so it cannot come too early.
"""

import signal
import time
from typing import Protocol


class Termination(Protocol):
    def wait(self, seconds: float) -> bool:
        """Pauses; returns whether this process has been asked to end. The request itself ends the pause at once."""
        ...

    @property
    def asked(self) -> bool: ...


class SignalTermination:
    def __init__(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        self._asked = False

    @property
    def asked(self) -> bool:
        if not self._asked:
            self._asked = _taken_within(0)
        return self._asked

    def wait(self, seconds: float) -> bool:
        if self._asked:
            time.sleep(seconds)
        else:
            self._asked = _taken_within(seconds)
        return self._asked


def _taken_within(seconds: float) -> bool:
    """The signal's number has to be checked: if the process was stopped (SIGSTOP) until after the end of the wait,
    CPython returns a result that it never filled in."""
    found = signal.sigtimedwait([signal.SIGTERM], seconds)
    return found is not None and found.si_signo == signal.SIGTERM
