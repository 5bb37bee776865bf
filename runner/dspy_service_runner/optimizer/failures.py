"""How a run ends without success: failures with a reason, and interrupts that no optimizer can swallow.

DSPy's optimizers catch `Exception` and go on with a score of 0. Whatever must end a run from inside an optimizer is
therefore a `BaseException`. It is raised again in every thread that checks (`StopToken.check`), because queued work
would go on otherwise.
"""

import errno
import os
import resource
import threading
from collections.abc import Iterable


class JobFailed(Exception):
    """Ends the job as failed, with a CamelCase reason and a message whose first line is the cause."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Interrupt(BaseException):
    """Ends whatever runs inside an optimizer; `failure` is the cause, or None if the user stopped the job."""

    def __init__(self, failure: JobFailed | None) -> None:
        super().__init__(str(failure) if failure else "stop requested")
        self.failure = failure


class StopToken:
    """Tells the work of one stage whether to go on. Once stopped it stays stopped; the first cause counts.

    A process that user code has forked, and that comes back into the stage's work, ends there: it would write into the
    same files."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._stopped = False
        self._failure: JobFailed | None = None

    @property
    def is_stopped(self) -> bool:
        return self._stopped

    def stop(self) -> None:
        self._close(None)

    def fail(self, failure: JobFailed) -> None:
        self._close(failure)

    def check(self) -> None:
        if os.getpid() != self._process:
            os._exit(0)
        if self._stopped:
            raise Interrupt(self._failure)

    def _close(self, failure: JobFailed | None) -> None:
        with self._lock:
            if not self._stopped:
                self._failure, self._stopped = failure, True


def first_line(error: BaseException) -> str:
    """An exception in one line for people: its type and the first line of its message."""
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {text}{_limit(error)}" if text else type(error).__name__


def quoted(names: Iterable[str]) -> str:
    """Names in a message."""
    return ", ".join(f"'{name}'" for name in names)


def _limit(error: BaseException) -> str:
    """Adds how large a file may be, which the system's own message about one that is too large does not say."""
    if not isinstance(error, OSError) or error.errno != errno.EFBIG:
        return ""
    return f" (a file may have at most {resource.getrlimit(resource.RLIMIT_FSIZE)[0]} bytes)"
