"""The store holds everything that is too large for a resource. All parts read and write it by one URL.

`file:///...` (a PVC or a local folder), `s3://`, `gs://`, `az://` and `memory:///` (tests), all through obstore, which
takes credentials and endpoints from the environment (`AWS_*`, `GOOGLE_*`, `AZURE_*`). Without pydantic, since the
reporter imports it.

Promises that the other parts build on:
- A put is atomic: readers see the old content or the new, never a part of it. For files, obstore writes `name#1` beside
  the target and renames it, so names with `#` are never listed; object stores are atomic anyway.
- A finished put survives the death of any process. It survives the loss of power only when it was `durable`, which
  costs one fsync of the file and one of its folder; object stores are always durable.
- Keys are plain relative paths of `[A-Za-z0-9._-]` names: no traversal, no escapes, the same in every kind of store.
- Every failure is a `StoreError` whose message holds no credentials and no query of a URL.

Local files are read with plain `open`, directly even on an event loop: that takes 6 us for a small file, where obstore
takes 47 us, its asynchronous functions 170 us and a thread 60 us. The API reads several small files for each answer.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import ParamSpec, TypeVar
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, MemoryStore, ObjectStore, from_url

from dspy_service_core.errors import StoreError

P = ParamSpec("P")
T = TypeVar("T")

REMOTE_SCHEMES = ("s3", "gs", "az")
"""Kinds of object stores, by the scheme of their URLs."""
REQUEST_TIMEOUT = timedelta(seconds=30)
CONNECT_TIMEOUT = timedelta(seconds=5)
RETRIES = 2
"""Few, because callers retry by themselves, and meanwhile must be able to say that the store is unavailable."""

_KEY = re.compile(r"(?!\.\.?(?:/|$))[A-Za-z0-9._-]+(?:/(?!\.\.?(?:/|$))[A-Za-z0-9._-]+)*")
_URL_SECRETS = re.compile(r"(?<=://)[^/@\s]+@|\?[^\s)\"',]+")
_SERVER_WORDS = re.compile(r"(status code: \d+[\w -]*).*")
_REASON_LENGTH = 300
_PIECE_BYTES = 1024 * 1024
_PARTS_AT_ONCE = 2
"""Parts that are uploaded at once; each takes 5 MB of memory."""
_MAY_BE_MISSING = ("read", "look up", "delete")


class NotFound(StoreError):
    """There is no such object."""

    def __init__(self, key: str) -> None:
        super().__init__(f"the store holds no '{key}'")
        self.key = key


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object of a listing; `key` is relative to the store's URL."""

    key: str
    size: int


def job_folder(namespace: str, store_id: str) -> str:
    """Where a job's payload, segments, checkpoint and result lie, below the store's URL."""
    return f"{namespace}/jobs/{store_id}"


def artifact_folder(namespace: str, store_id: str) -> str:
    """Where a job's artifact lies, below the store's URL; it outlives the job's record."""
    return f"{namespace}/artifacts/{store_id}"


class Store:
    """Reads and writes bytes by key. Safe to share between threads and coroutines; open it after a fork, never
    before."""

    def __init__(self, backend: ObjectStore, folder: Path | None = None) -> None:
        self._backend = backend
        self._folder = folder

    def get(self, key: str) -> bytes:
        with _failures("read", _checked(key)):
            if self._folder is not None:
                return (self._folder / key).read_bytes()
            return bytes(obstore.get(self._backend, key).bytes())

    def pieces(self, key: str) -> Iterator[bytes]:
        """The content in pieces of about a megabyte, for what is too large for memory."""
        with _failures("read", _checked(key)):
            if self._folder is not None:
                with (self._folder / key).open("rb") as file:
                    while piece := file.read(_PIECE_BYTES):
                        yield piece
                return
            for part in obstore.get(self._backend, key).stream(_PIECE_BYTES):
                yield bytes(part)

    async def get_async(self, key: str) -> bytes:
        if self._folder is not None:
            return self.get(key)
        with _failures("read", _checked(key)):
            result = await obstore.get_async(self._backend, key)
            return bytes(await result.bytes_async())

    async def ranges_async(self, key: str, spans: Sequence[tuple[int, int]]) -> list[bytes]:
        """The content between each two offsets. What lies beyond the end is missing, or is an error."""
        if self._folder is None:
            with _failures("read", _checked(key)):
                starts, ends = [start for start, _ in spans], [end for _, end in spans]
                return [
                    bytes(part) for part in await obstore.get_ranges_async(self._backend, key, starts=starts, ends=ends)
                ]
        with _failures("read", _checked(key)), (self._folder / key).open("rb", buffering=0) as file:
            return [os.pread(file.fileno(), end - start, start) for start, end in spans]

    def put(self, key: str, content: bytes | Iterator[bytes], *, durable: bool = False) -> None:
        """Content given in pieces is streamed. It becomes visible as a whole, or, if the iterator raises, not at
        all."""
        with _failures("write", _checked(key)):
            obstore.put(self._backend, key, content, max_concurrency=_PARTS_AT_ONCE)
            if durable and self._folder is not None:
                _flush_to_disk(self._folder / key)

    async def put_async(self, key: str, content: bytes, *, durable: bool = False) -> None:
        if self._folder is not None:
            await _in_thread(self.put, key, content, durable=durable)
            return
        with _failures("write", _checked(key)):
            await obstore.put_async(self._backend, key, content)

    def exists(self, key: str) -> bool:
        try:
            with _failures("look up", _checked(key)):
                if self._folder is not None:
                    return (self._folder / key).is_file()
                obstore.head(self._backend, key)
                return True
        except NotFound:
            return False

    async def exists_async(self, key: str) -> bool:
        return self.exists(key) if self._folder is not None else await _in_thread(self.exists, key)

    def files(self, prefix: str = "") -> list[StoredObject]:
        """All objects below a folder, at any depth, sorted by key; empty if there is no such folder."""
        with _failures("list", _checked_prefix(prefix)):
            if self._folder is not None:
                return sorted(_walk(self._folder, prefix), key=lambda entry: entry.key)
            metas = obstore.list(self._backend, prefix or None).collect()
            return sorted((StoredObject(meta["path"], meta["size"]) for meta in metas), key=lambda entry: entry.key)

    async def files_async(self, prefix: str = "") -> list[StoredObject]:
        return self.files(prefix) if self._folder is not None else await _in_thread(self.files, prefix)

    def folders(self, prefix: str = "") -> list[str]:
        """Sorted names of the folders directly below a folder; the operator's sweep compares them with the
        resources."""
        with _failures("list", _checked_prefix(prefix)):
            if self._folder is not None:
                return sorted(_subfolders(self._folder / prefix))
            found = obstore.list_with_delimiter(self._backend, prefix or None)["common_prefixes"]
            return sorted(path.rstrip("/").rpartition("/")[2] for path in found)

    async def folders_async(self, prefix: str = "") -> list[str]:
        return await _in_thread(self.folders, prefix)

    def delete(self, key: str) -> None:
        """It is no error if there is no such object."""
        try:
            with _failures("delete", _checked(key)):
                if self._folder is not None:
                    (self._folder / key).unlink(missing_ok=True)
                else:
                    obstore.delete(self._backend, key)
        except NotFound:
            return

    def delete_folder(self, prefix: str) -> None:
        """Deletes everything below the folder; it is no error if there is nothing."""
        with _failures("delete", _checked(prefix)):
            if self._folder is not None:
                _remove_tree(self._folder / prefix)
                return
            if paths := [entry.key for entry in self.files(prefix)]:
                obstore.delete(self._backend, paths)

    async def delete_folder_async(self, prefix: str) -> None:
        await _in_thread(self.delete_folder, prefix)


def open_store(url: str, options: Mapping[str, str] | None = None, timeout: timedelta = REQUEST_TIMEOUT) -> Store:
    """`options` are obstore's for this kind of store; options that are not given come from the environment."""
    parts = urlsplit(url)
    if parts.scheme not in ("file", "memory", *REMOTE_SCHEMES):
        known = " or ".join((", ".join(f"{scheme}://" for scheme in REMOTE_SCHEMES[:-1]), f"{REMOTE_SCHEMES[-1]}://"))
        raise StoreError(f"a store's URL begins with file:///, {known}, not with '{parts.scheme}'")
    if parts.username or parts.password or parts.query:
        raise StoreError("a store's URL holds no credentials and no query: give them in the environment")
    with _failures("open", f"{parts.scheme}://{parts.netloc}{parts.path}"):
        if parts.scheme == "memory":
            return Store(MemoryStore())
        if parts.scheme == "file":
            return _open_folder(Path(unquote(parts.path)))
        return Store(_open_remote(url, dict(options or {}), timeout))


def _open_folder(folder: Path) -> Store:
    folder.mkdir(parents=True, exist_ok=True)
    return Store(LocalStore(folder), folder)


def _open_remote(url: str, options: dict[str, str], timeout: timedelta) -> ObjectStore:
    return from_url(  # type: ignore[call-overload, no-any-return]  # its overloads type options per kind of store
        url,
        config=options,
        # Plain HTTP is spoken only where the configured endpoint itself says http://.
        client_options={"timeout": timeout, "connect_timeout": CONNECT_TIMEOUT, "allow_http": True},
        retry_config={"max_retries": RETRIES, "retry_timeout": timeout},
    )


async def _in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    import asyncio  # not at the top: the reporter never awaits, and does without its 4 MB and 10 ms

    return await asyncio.to_thread(function, *args, **kwargs)


def _checked(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise StoreError(f"{key!r} is no key of a store")
    return key


def _checked_prefix(prefix: str) -> str:
    return _checked(prefix) if prefix else "/"


@contextmanager
def _failures(verb: str, what: str) -> Iterator[None]:
    try:
        yield
    except (NotFoundError, FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        if verb in _MAY_BE_MISSING:
            raise NotFound(what) from None
        raise StoreError(f"cannot {verb} '{what}' in the store: {_reason(error)}") from None
    except (BaseError, OSError, ValueError) as error:
        # `from None`: obstore's own text carries whole request URLs, and a traceback would print it.
        raise StoreError(f"cannot {verb} '{what}' in the store: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    """The system's message, or the first paragraph of obstore's text (the rest is a debug dump).

    The body of a server's error is left out, because it may repeat the request with its credentials.
    """
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error).split("\n\n", 1)[0]
    text = _SERVER_WORDS.sub(r"\1", " ".join(text.split()))
    return _URL_SECRETS.sub("", text)[:_REASON_LENGTH]


def _flush_to_disk(path: Path) -> None:
    for target in (path, path.parent):
        descriptor = os.open(target, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _walk(root: Path, prefix: str) -> Iterator[StoredObject]:
    try:
        found = list(os.scandir(root / prefix))
    except (FileNotFoundError, NotADirectoryError):
        return
    for item in found:
        key = f"{prefix}/{item.name}" if prefix else item.name
        if item.is_dir(follow_symlinks=False):
            yield from _walk(root, key)
        elif "#" not in item.name and item.is_file(follow_symlinks=False):
            yield StoredObject(key, item.stat().st_size)


def _subfolders(folder: Path) -> list[str]:
    try:
        return [item.name for item in os.scandir(folder) if item.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def _remove_tree(folder: Path) -> None:
    """Tries a second time, because a reporter that does not know of the deletion yet may write into the folder."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        shutil.rmtree(folder)
