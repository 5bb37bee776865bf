"""Writes `logs.jsonl`: every log record and every printed line becomes one entry, up to the quota.

Entries are also written as text to the container's own stdout, so that `kubectl logs` shows them. The reader of that
stdout may be slow or gone, so the run never waits twice for the same stall.
"""

import contextlib
import logging
import os
import re
import select
import stat
import threading
import traceback
from collections.abc import Callable

import orjson

from dspy_service_core.records.events import LogEntry
from dspy_service_core.records.record import document
from dspy_service_runner.optimizer.outbox import AppendFile, timestamp

OWN_LOGGER = "dspy_service"
QUIET_LOGGERS = ("httpx", "httpcore", "urllib3", "openai", "LiteLLM", "asyncio", "filelock", "matplotlib")
"""Libraries that log a line for each request at INFO."""
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_PIPE_CHUNK = 4096


class Relay:
    """The container's stdout. If its reader stalls, one second is waited; then lines are dropped until it reads again.

    `redact` removes the job's keys: what `kubectl logs` shows does not pass the reporter, which removes them elsewhere.
    """

    def __init__(self, descriptor: int, redact: Callable[[str], str] = str) -> None:
        self._fd = descriptor
        self._redact = redact
        self._may_block = not stat.S_ISREG(os.fstat(descriptor).st_mode)
        self._patience_ms = 1000
        self._lock = threading.Lock()
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def write(self, text: str) -> None:
        """One thread at a time, so that lines stay whole, and because threads cannot share a poll object."""
        data = self._redact(text).encode(errors="replace")
        with self._lock, contextlib.suppress(OSError):  # nobody reads it any more
            self._send(data)

    def _send(self, data: bytes) -> None:
        for start in range(0, len(data), _PIPE_CHUNK):
            if self._may_block and not self._poll.poll(self._patience_ms):
                self._patience_ms = 0
                return
            self._patience_ms = 1000 if self._may_block else 0
            os.write(self._fd, data[start : start + _PIPE_CHUNK])


class LogEntries:
    def __init__(self, file: AppendFile, relay: Relay, quota: int, max_line: int) -> None:
        self._file, self._relay = file, relay
        self._quota, self._max_line = quota, max_line
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self.full = False

    def add(self, level: str, logger: str, message: str, *, exempt: bool = False) -> None:
        """`exempt` from the quota are the run's own final messages: they are few and must not be lost."""
        if self.full and not exempt:
            return
        message = self._clean(message)
        if os.getpid() != self._owner:  # a forked child of user code: its copy of the lock may be held for ever
            os.write(2, f"{level} {logger}: {message}\n".encode(errors="replace"))
            return
        with self._lock:
            line = _encode(level, logger, message)
            if exempt or self._file.size + len(line) <= self._quota:
                self._file.append(line)
            else:
                self._close()
                return
        self._relay.write(f"{message}\n" if logger == "stdout" else f"{level} {logger}: {message}\n")

    def _clean(self, message: str) -> str:
        if "\x1b" in message:
            message = _ANSI.sub("", message)
        if len(message) > self._max_line:
            message = f"{message[: self._max_line]}... ({len(message) - self._max_line} more characters)"
        return message

    def _close(self) -> None:
        if self.full:
            return
        self.full = True
        message = f"The log quota of {self._quota} bytes is reached: later lines are dropped."
        self._file.append(_encode("WARNING", OWN_LOGGER, message))
        self._relay.write(f"WARNING {OWN_LOGGER}: {message}\n")


def _encode(level: str, logger: str, message: str) -> bytes:
    entry = LogEntry(timestamp(), level, logger, message)
    try:
        return orjson.dumps(entry) + b"\n"
    except orjson.JSONEncodeError:  # lone surrogates
        texts = {name: text.encode(errors="replace").decode() for name, text in document(entry).items()}
        return orjson.dumps(texts) + b"\n"


class EntryHandler(logging.Handler):
    """Log records as entries, stack trace included."""

    def __init__(self, entries: LogEntries) -> None:
        super().__init__()
        self._entries = entries

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
            if record.exc_info and record.exc_info[0] is not None:
                message += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
            if record.stack_info:
                message += "\n" + record.stack_info
            self._entries.add(record.levelname, record.name, message, exempt=record.__dict__.get("exempt", False))
        except Exception:
            self.handleError(record)


def route_loggers(handler: logging.Handler) -> None:
    """Makes `handler` the only one, because DSPy's and optuna's own handlers would print each line again."""
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in ("dspy", "optuna"):
        logger = logging.getLogger(name)
        logger.handlers[:] = []
        logger.propagate = True
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
