"""SIGTERM, blocked from the first moment and waited for instead of handled: every pause is a wait for it.

No handler means nothing to interrupt half-way. And a parent that starts a reporter only to have it drain can block
the signal before it starts it: blocked signals stay pending through exec, so it cannot come too early.
"""

import signal
import time
from typing import Protocol


class Termination(Protocol):
    def wait(self, seconds: float) -> bool:
        """Pauses; returns true, and at once the first time, when this process is asked to end."""
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
    """A process that was stopped (SIGSTOP) past the wait's end gets an answer with no signal in it: CPython returns
    what it never filled in, when the wait is over after an EINTR."""
    found = signal.sigtimedwait([signal.SIGTERM], seconds)
    return found is not None and found.si_signo == signal.SIGTERM
