"""Turns everything that is printed while user code runs into log entries, however it was printed.

Python's own `sys.stdout` and `sys.stderr` are replaced, so that prints and log records keep their order, and many
prints need no pipe. For subprocesses, `os.write` and C code, descriptors 1 and 2 are pipes that one thread reads. (C
code that holds the GIL while it prints more than a pipe holds blocks for ever, because that thread cannot run; the
job's deadline ends it.)
"""

import codecs
import contextlib
import faulthandler
import fcntl
import io
import os
import selectors
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from dspy_service_runner.optimizer.progress.log_entries import EntryHandler, LogEntries, route_loggers

_PIPE_BYTES = 1024 * 1024
_CHUNK = 65_536
_NAMES = {1: "stdout", 2: "stderr"}


@dataclass
class _Begun:
    """The pieces of an unfinished line. They are joined only once: a program that prints a long line of single dots
    would otherwise copy it at each dot."""

    pieces: list[str] = field(default_factory=list)
    length: int = 0


class Lines:
    """Joins printed pieces to whole lines. Text that a carriage return overwrites is dropped, so that a progress bar
    becomes one line."""

    def __init__(self, emit: Callable[[str], None], limit: int) -> None:
        self._emit, self._limit = emit, limit
        self._begun: dict[int, _Begun] = {}

    def feed(self, text: str, source: int = 0) -> None:
        """`source` keeps the pieces of several writers apart."""
        begun = self._begun.setdefault(source, _Begun())
        begun.pieces.append(text)
        begun.length += len(text)
        if "\n" not in text and "\r" not in text and begun.length < self._limit:
            return
        *lines, rest = "".join(self._begun.pop(source).pieces).split("\n")
        for line in lines:
            self._line(line)
        rest = rest[rest.rfind("\r", 0, -1) + 1 :]  # a "\r" at the very end stays: "\n" may follow
        if len(rest) >= self._limit:
            self._line(rest)
        elif rest:
            self._begun[source] = _Begun([rest], len(rest))

    def finish(self) -> None:
        begun, self._begun = self._begun, {}
        for line in begun.values():
            self._line("".join(line.pieces))

    def _line(self, line: str) -> None:
        line = line.rstrip("\r")
        line = line[line.rfind("\r") + 1 :]
        if line and not line.isspace():
            self._emit(line)


class CapturedStream(io.TextIOBase):
    """Replaces `sys.stdout` or `sys.stderr`. Closing it does nothing; a forked child writes to the pipe instead."""

    def __init__(self, descriptor: int, lines: Lines, entries: LogEntries) -> None:
        self._fd, self._lines, self._entries = descriptor, lines, entries
        self._owner = os.getpid()
        self.buffer = _CapturedBytes(self)
        self.name = f"<{_NAMES[descriptor]}>"

    encoding = "utf-8"
    errors = "replace"

    def write(self, text: str) -> int:
        if self._entries.full:
            return len(text)
        if os.getpid() != self._owner:
            os.write(self._fd, text.encode(errors="replace"))
        else:
            self._lines.feed(text, threading.get_ident())
        return len(text)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def isatty(self) -> bool:
        return False

    def close(self) -> None:
        return None


class _CapturedBytes(io.RawIOBase):
    def __init__(self, stream: CapturedStream) -> None:
        self._stream = stream

    def write(self, data: object) -> int:
        chunk = bytes(data)  # type: ignore[call-overload]  # any buffer
        self._stream.write(chunk.decode(errors="replace"))
        return len(chunk)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    def close(self) -> None:
        return None


class Pump:
    """The thread that reads the pipes behind descriptors 1 and 2 until it is told to stop and they are empty."""

    def __init__(self, entries: LogEntries, limit: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._stop_read, self._stop_write = os.pipe()
        self._selector.register(self._stop_read, selectors.EVENT_READ, None)
        self._entries, self._limit = entries, limit
        self._thread = threading.Thread(target=self._run, name="output-pump", daemon=True)

    def take(self, descriptor: int) -> None:
        """Makes `descriptor` the write end of a pipe that the thread reads."""
        read, write = os.pipe()
        with contextlib.suppress(OSError, AttributeError):  # only helpful, and only Linux has it
            fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        os.set_blocking(read, False)
        os.dup2(write, descriptor)
        os.close(write)
        lines = line_entries(self._entries, descriptor, self._limit)
        stream = (lines, codecs.getincrementaldecoder("utf-8")(errors="replace"))
        self._selector.register(read, selectors.EVENT_READ, stream)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with contextlib.suppress(OSError):  # user code may have closed it
            os.write(self._stop_write, b"x")
            self._thread.join(timeout=2)

    def _run(self) -> None:
        stopping = False
        while not stopping:
            for key, _ in self._selector.select():
                if key.data is None:
                    stopping = True
                else:
                    self._drain(key.fd, *key.data)
        for key in [key for key in self._selector.get_map().values() if key.data is not None]:
            more = True
            while more:  # a child may print for ever, but `stop` waits only two seconds
                more = self._drain(key.fd, *key.data)
            key.data[0].finish()

    def _drain(self, descriptor: int, lines: Lines, decoder: codecs.IncrementalDecoder) -> bool:
        try:
            data = os.read(descriptor, _CHUNK)
        except OSError:
            return False
        if not data:
            lines.finish()
            self._selector.unregister(descriptor)
        elif not self._entries.full:
            lines.feed(decoder.decode(data))
        return bool(data)


class Capture:
    """Takes over output and loggers for the life of the process; `finish` logs lines that have no end yet."""

    def __init__(self, entries: LogEntries, limit: int) -> None:
        self._lines = {fd: line_entries(entries, fd, limit) for fd in _NAMES}
        self._pump = Pump(entries, limit)
        self._entries = entries

    def start(self, real_stderr: int) -> None:
        with contextlib.suppress(OSError, ValueError):
            faulthandler.enable(real_stderr)
        for descriptor, lines in self._lines.items():
            self._pump.take(descriptor)
            setattr(sys, _NAMES[descriptor], CapturedStream(descriptor, lines, self._entries))
        for stream in (sys.__stdout__, sys.__stderr__):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(line_buffering=True)
        self._pump.start()
        route_loggers(EntryHandler(self._entries))

    def finish(self) -> None:
        for lines in self._lines.values():
            lines.finish()
        self._pump.stop()


def line_entries(entries: LogEntries, descriptor: int, limit: int) -> Lines:
    name = _NAMES[descriptor]
    return Lines(lambda line: entries.add("INFO", name, line), limit)
