"""Mirrors the checkpoint, which is GEPA's own state and the best program so far, from the optimizer's folder into the
store, and back for the next attempt.

Files are uploaded unchanged, and count as uploaded only if nobody wrote to them meanwhile. Each file is complete, but
together they are no transaction: the optimizer writes its state file last and by rename. Files are deleted from the
store only if this process uploaded them, so that an attempt that has no checkpoint yet does not delete the one before.
"""

import logging
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dspy_service_core.errors import StoreError
from dspy_service_core.storage import pod_files
from dspy_service_core.storage.store import Store
from dspy_service_runner.redaction import Redactor
from dspy_service_runner.reporter.artifact.checked_file import CheckedFile, HoldsKey
from dspy_service_runner.reporter.streams.out_folder import OutFolder, Seen

logger = logging.getLogger("dspy_service.reporter")

MAX_DEPTH = 4
MAX_FILES = 2000
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


@dataclass(slots=True)
class Checkpoint:
    out: OutFolder
    store: Store
    redactor: Redactor
    limit: int
    _uploaded: dict[str, Seen] = field(init=False, default_factory=dict)
    _refused: dict[str, Seen] = field(init=False, default_factory=dict)
    _aside: threading.Thread | None = field(init=False, default=None)

    def sync_aside(self) -> None:
        """Runs in a thread of its own, because a checkpoint may be large and heartbeats must not wait for it."""
        if self._aside is None or not self._aside.is_alive():
            self._aside = threading.Thread(target=self._try_sync, daemon=True)
            self._aside.start()

    def settle(self) -> None:
        """Waits for an upload that is under way."""
        if self._aside:
            self._aside.join()

    def sync(self) -> None:
        """Uploads what changed since the last time. Raises the store's errors; the next call continues from there."""
        present: set[str] = set()
        room = self.limit
        for key, folder, name, seen in self._files():
            present.add(key)
            room -= seen.size
            if room >= 0 and seen not in (self._uploaded.get(key), self._refused.get(key)):
                self._upload(key, folder, name, seen)
        for key in [key for key in self._uploaded if key not in present]:
            self.store.delete(key)
            del self._uploaded[key]

    def _try_sync(self) -> None:
        try:
            self.sync()
        except (StoreError, OSError) as error:
            logger.warning("the checkpoint is not in the store yet: %s", error)

    def _upload(self, key: str, folder: OutFolder, name: str, seen: Seen) -> None:
        with folder.opened(name) as file:
            if file is None or file[1] != seen:
                return
            try:
                self.store.put(key, CheckedFile(file[0], seen.size, self.redactor).content())
            except HoldsKey:
                self._refused[key] = seen
                return
        if folder.look(name) == seen:
            self._uploaded[key] = seen

    def _files(self) -> Iterator[tuple[str, OutFolder, str, Seen]]:
        with self.out.below(pod_files.CHECKPOINT) as folder:
            if folder is not None:
                found = _walk(folder, pod_files.CHECKPOINT, MAX_DEPTH)
                yield from (item for _, item in zip(range(MAX_FILES), found, strict=False))


def _walk(folder: OutFolder, prefix: str, depth: int) -> Iterator[tuple[str, OutFolder, str, Seen]]:
    """Skips names that cannot be part of a store's key, and hidden files, which the optimizer is still writing."""
    files, folders = folder.names()
    for name in filter(_NAME.fullmatch, files):
        if seen := folder.look(name):
            yield f"{prefix}/{name}", folder, name, seen
    for name in filter(_NAME.fullmatch, folders if depth > 1 else []):
        with folder.below(name) as inner:
            if inner is not None:
                yield from _walk(inner, f"{prefix}/{name}", depth - 1)


def restore_checkpoint(store: Store, into: Path) -> None:
    """Makes the folder in any case; without a checkpoint it is empty."""
    folder = into / pod_files.CHECKPOINT
    folder.mkdir(parents=True, exist_ok=True)
    for entry in store.files(pod_files.CHECKPOINT):
        target = into / entry.key
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            file.writelines(store.pieces(entry.key))
