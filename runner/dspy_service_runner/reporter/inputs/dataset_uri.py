"""Fetches a dataset behind a URI: only below prefixes that the administrator allows, and only with the given digest.

The reporter holds the store's credentials and is inside the cluster's network. The prefixes keep a job from using the
reporter to read what the job's owner may not read. So only URIs in a plain form are compared, a path that leads out of
its folder is refused, links are followed only if their target is below a prefix too, and redirects are not followed.
"""

import hashlib
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from dspy_service_core.errors import StoreError
from dspy_service_core.registry.prefixes import uri_is_below
from dspy_service_core.storage.store import NotFound, open_store
from dspy_service_runner.reporter.inputs.dataset import InvalidDataset, UsersFault
from dspy_service_runner.reporter.light_httpx import httpx

_CHUNK = 1024 * 1024
_TIMEOUT = 30.0


class SourceAway(Exception):
    """The dataset's server does not answer; a later try may succeed."""


def fetch(uri: str, digest: str, into: Path, prefixes: tuple[str, ...], limit: int) -> None:
    """Writes the content into the file `into`. Raises if it is larger than `limit`, or if a digest is given and the
    content has another one."""
    check_allowed(uri, prefixes)
    found, size = hashlib.sha256(), 0
    with into.open("wb") as file:
        for chunk in _READERS[urlsplit(uri).scheme](uri, prefixes):
            size += len(chunk)
            if size > limit:
                raise InvalidDataset(f"The dataset at {uri} is larger than {limit} bytes.")
            found.update(chunk)
            file.write(chunk)
    if digest and digest != f"sha256:{found.hexdigest()}":
        raise UsersFault("DigestMismatch", f"The dataset at {uri} has the digest sha256:{found.hexdigest()}.")


def check_allowed(uri: str, prefixes: tuple[str, ...]) -> None:
    if not uri_is_below(uri, prefixes):
        allowed = ", ".join(prefixes) or "none"
        raise UsersFault("UriNotAllowed", f"The dataset's URI {uri} is not below an allowed prefix ({allowed}).")
    if urlsplit(uri).scheme not in _READERS:
        raise UsersFault("UriNotAllowed", f"A dataset's URI begins with one of {', '.join(_READERS)}.")


def _read_local(uri: str, prefixes: tuple[str, ...]) -> Iterator[bytes]:
    path = _local_path(uri).resolve()
    folders = [_local_path(prefix).resolve() for prefix in prefixes if prefix.startswith("file://")]
    if not any(path.is_relative_to(folder) for folder in folders):
        raise UsersFault("UriNotAllowed", f"The dataset's URI {uri} is a link that leads out of what is allowed.")
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    except OSError as error:
        raise UsersFault("DatasetNotFound", f"The dataset at {uri} cannot be read: {error.strerror}.") from None


def _local_path(uri: str) -> Path:
    return Path(unquote(urlsplit(uri).path))


def _read_object(uri: str, _prefixes: tuple[str, ...]) -> Iterator[bytes]:
    root, _, name = uri.rpartition("/")
    try:
        yield from open_store(root).pieces(name)
    except NotFound:
        raise UsersFault("DatasetNotFound", f"There is no dataset at {uri}.") from None
    except StoreError as error:
        raise SourceAway(str(error)) from None


def _read_http(uri: str, _prefixes: tuple[str, ...]) -> Iterator[bytes]:
    # Trusts the system's certificate authorities, because administrators add theirs there; httpx has its own bundle.
    client = httpx.Client(verify=ssl.create_default_context(), trust_env=False, timeout=_TIMEOUT)
    try:
        with client, client.stream("GET", uri) as answer:
            _check_answer(uri, answer.status_code)
            yield from answer.iter_bytes(_CHUNK)
    except httpx.HTTPError as error:
        raise SourceAway(f"The dataset at {uri} cannot be fetched ({type(error).__name__}).") from None


def _check_answer(uri: str, code: int) -> None:
    if code >= httpx.codes.INTERNAL_SERVER_ERROR or code == httpx.codes.TOO_MANY_REQUESTS:
        raise SourceAway(f"The dataset's server answers {code}.")
    if code != httpx.codes.OK:
        raise UsersFault("DatasetNotFound", f"The dataset at {uri} cannot be fetched: its server answers {code}.")


_READERS: dict[str, Callable[[str, tuple[str, ...]], Iterator[bytes]]] = {
    "file": _read_local,
    "http": _read_http,
    "https": _read_http,
    "s3": _read_object,
    "gs": _read_object,
    "az": _read_object,
}
