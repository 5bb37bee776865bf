"""How a run ends other than well: failures with a reason, and interrupts that no optimizer can swallow.

DSPy's optimizers catch `Exception` and go on with a score of 0. What must end a run from inside one is therefore a
`BaseException`, and it is raised anew in every thread that asks (`StopToken.check`), because queued work would go on.
"""

import errno
import resource
import threading


class JobFailed(Exception):
    """The job's end: a CamelCase reason and a message whose first line is the cause."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Interrupt(BaseException):
    """Ends whatever runs inside an optimizer; `failure` is the cause, or None where the user asked for the end."""

    def __init__(self, failure: JobFailed | None) -> None:
        super().__init__(str(failure) if failure else "stop requested")
        self.failure = failure


class StopToken:
    """What work of one stage asks before it goes on. Once shut it stays shut; the first cause counts."""

    def __init__(self) -> None:
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
        if self._stopped:
            raise Interrupt(self._failure)

    def _close(self, failure: JobFailed | None) -> None:
        with self._lock:
            if not self._stopped:
                self._failure, self._stopped = failure, True


def first_line(error: BaseException) -> str:
    """An exception as people read it: its type, and the first line of what it says."""
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {text}{_limit(error)}" if text else type(error).__name__


def _limit(error: BaseException) -> str:
    """The system's words for a file that outgrew its volume do not say how large it may be."""
    if not isinstance(error, OSError) or error.errno != errno.EFBIG:
        return ""
    return f" (a file may have at most {resource.getrlimit(resource.RLIMIT_FSIZE)[0]} bytes)"
