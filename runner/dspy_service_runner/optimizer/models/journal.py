"""Answered model calls, kept so that they are never paid twice: dspy's cache, as an append-only journal.

Every answer is one line of `out/calls.jsonl`, beside the lines that tell of the calls themselves (`ledger.py`); an
earlier attempt's lines come back as `in/calls.jsonl`. Memory holds only an index (about 150 bytes for each call): a hit
is read from the file again, which costs less than the deep copy that dspy's own memory cache makes. dspy's disk cache
is not used, because it is slow to create and is SQLite.
"""

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from dspy.clients.cache import Cache
from dspy.clients.call_result import attributes
from dspy.clients.legacy_outputs import plain

from dspy_service_runner.optimizer.json_form import valid_unicode
from dspy_service_runner.optimizer.outbox import AppendFile

logger = logging.getLogger(__name__)

_HEAD = b'{"key":"'
_KEY = slice(len(_HEAD), len(_HEAD) + 64)
_UNWRITABLE_ENTRIES = 4096
"""How many answers may be kept only in memory, because they are not plain data (embeddings, for example)."""
Place = tuple[bool, int, int]
"""Where a line is: whether in an earlier attempt's file, its offset and its length."""


class JournalCache(Cache):  # type: ignore[misc]  # dspy is untyped
    """`others` is given the lines of earlier attempts that are no answers."""

    def __init__(self, earlier: Path, file: AppendFile, others: Callable[[bytes], None] = lambda _line: None) -> None:
        super().__init__(
            enable_disk_cache=False,
            enable_memory_cache=True,
            disk_cache_dir=None,
            memory_max_entries=_UNWRITABLE_ENTRIES,
        )
        self._file, self._others = file, others
        self._append_lock = threading.Lock()
        self._thread = threading.local()
        self._earlier: int | None = None
        self._index: dict[bytes, Place] = {}
        if earlier.is_file():
            self._earlier = os.open(earlier, os.O_RDONLY | os.O_CLOEXEC)
            self._read(earlier)

    @property
    def size(self) -> int:
        return len(self._index)

    def forget_hit(self) -> None:
        self._thread.hit = False

    def was_hit(self) -> bool:
        """Whether this thread's last call was answered from this cache."""
        return getattr(self._thread, "hit", False)

    def get(self, request: dict[str, Any], ignored_args_for_cache_key: list[str] | None = None) -> Any:
        try:
            key = self.cache_key(request, ignored_args_for_cache_key)
        except Exception:  # what cannot be hashed is not cached: dspy's own rule
            return None
        found = self._look_up(key)
        if found is None:
            found = super().get(request, ignored_args_for_cache_key)
        self._thread.hit = found is not None
        return found

    def put(
        self,
        request: dict[str, Any],
        value: Any,
        ignored_args_for_cache_key: list[str] | None = None,
        enable_memory_cache: bool = True,
    ) -> None:
        try:
            key = self.cache_key(request, ignored_args_for_cache_key)
            line = _line_of({"key": key, **_written(value)})
        except Exception:
            super().put(request, value, ignored_args_for_cache_key, enable_memory_cache)
            return
        with self._append_lock:
            offset = self._file.size
            if self._file.append(line):
                self._index[bytes.fromhex(key)] = (False, offset, len(line))
                return
        super().put(request, value, ignored_args_for_cache_key, enable_memory_cache)

    def note(self, line: bytes) -> None:
        """Appends a line that is no answer."""
        with self._append_lock:
            self._file.append(line)

    def _look_up(self, key: str) -> Any:
        place = self._index.get(bytes.fromhex(key))
        if place is None:
            return None
        try:
            entry = orjson.loads(self._line(*place))
        except (OSError, orjson.JSONDecodeError):
            return None
        if entry.get("key") != key:
            return None
        return attributes(entry["sdk"]) if "sdk" in entry else entry.get("value")

    def _line(self, earlier: bool, offset: int, length: int) -> bytes:
        if not earlier:
            return self._file.read(offset, length)
        assert self._earlier is not None
        return os.pread(self._earlier, length, offset)

    def _read(self, path: Path) -> None:
        offset = 0
        with path.open("rb", buffering=1024 * 1024) as lines:
            for line in lines:
                if not line.endswith(b"\n"):  # cut by a kill
                    break
                if line.startswith(_HEAD):
                    self._remember(line, offset)
                else:
                    self._others(line)
                offset += len(line)
        logger.info("%d answered model calls of earlier attempts are at hand", self.size)

    def _remember(self, line: bytes, offset: int) -> None:
        try:
            self._index[bytes.fromhex(line[_KEY].decode())] = (True, offset, len(line))
        except ValueError:
            logger.warning("a line of the earlier attempts' journal is not readable and was skipped")


def _line_of(entry: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(entry) + b"\n"
    except orjson.JSONEncodeError:  # a lone surrogate, which is read as U+FFFD anyway
        return orjson.dumps(valid_unicode(entry)) + b"\n"


def _written(value: Any) -> dict[str, Any]:
    """dspy's own records stay as they are. An SDK's response object becomes plain data; reading it back makes the data
    attributes again."""
    if isinstance(value, dict | list | str | int | float):
        return {"value": value}
    content = plain(value)
    if not isinstance(content, dict):
        raise TypeError(f"{type(value).__name__} is not plain data")
    return {"sdk": content}
