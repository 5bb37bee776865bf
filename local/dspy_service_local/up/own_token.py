"""`up --token`: a token that nobody has to know. Made once, kept in the data folder, told to the API and to no job.

The command line, the Python client and the demo find it by the service's URL (`dspy_service.files.local_services`).
"""

import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from dspy_service.files.local_services import FOLDER, described, file_name
from dspy_service.files.plain_file import read_plain
from dspy_service.files.state_folder import private_folder, write_private
from dspy_service_local.settings import LocalSettings

_FILE = "token"
_BYTES = 32
_CODE_SECONDS = 3600
_KEPT = re.compile(r"[\w-]{43,100}", re.ASCII)
"""What `_BYTES` make, or longer ones."""


def token_file(settings: LocalSettings) -> Path:
    return settings.folder / _FILE


def with_own_token(settings: LocalSettings) -> LocalSettings:
    """A given token wins: its owner hands it out."""
    if not settings.makes_token:
        return settings
    token = _kept(token_file(settings)) or _made(token_file(settings))
    return settings.model_copy(update={"token": SecretStr(token), "auth_mode": "token"})


def one_time_code(now: float) -> str:
    """Signs a browser in, once and soon: what is printed on a terminal stays in its history."""
    return f"{int(now) + _CODE_SECONDS}.{secrets.token_urlsafe(16)}"


@contextmanager
def registered(url: str, token: Path) -> Iterator[None]:
    """Found by the user's clients for as long as this process lives: the lock goes with it, however it ends."""
    place = private_folder(FOLDER) / file_name(url)
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(place, flags, 0o600), "r+b") as file:
        os.fchmod(file.fileno(), 0o600)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.truncate()
        file.write(described(url, token))
        file.flush()
        try:
            yield
        finally:
            place.unlink(missing_ok=True)


def _kept(path: Path) -> str | None:
    """From an earlier start, if it is still its owner's alone."""
    try:
        if path.lstat().st_mode & 0o077 or path.lstat().st_uid != os.geteuid():
            return None
        token = read_plain(path, 1024).decode(errors="replace").strip()
    except OSError:
        return None
    return token if _KEPT.fullmatch(token) else None


def _made(path: Path) -> str:
    token = secrets.token_urlsafe(_BYTES)
    write_private(path, f"{token}\n".encode())
    return token
