"""Services of this user on this machine that made themselves a token (`up --token`), found by their URL.

Each is a file in the user's state folder that names its URL and where its token lies. Its service holds a lock on the
file while it lives, which no death leaves behind: without one the file is stale, and whoever listens at that URL now is
somebody else. A token found so is sent to that URL alone: to loopback, through no proxy, and along no redirect.
"""

import hashlib
import json
import os
import re
import stat
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from dspy_service.files.plain_file import read_plain
from dspy_service.files.state_folder import state_folder

try:
    import fcntl
except ImportError:  # Windows has no fcntl, and no `up` either: the client works there, and knows no local service
    fcntl = None  # type: ignore[assignment]

FOLDER = "services"
_TOKEN = re.compile(r"[\w-]{20,200}", re.ASCII)
_MAX_BYTES = 8 * 1024


def file_name(url: str) -> str:
    return f"{hashlib.sha256(url.encode()).hexdigest()[:40]}.json"


def described(url: str, token_file: Path) -> bytes:
    return json.dumps({"url": url, "token_file": str(token_file)}).encode()


def found_token(url: str) -> str | None:
    """None where no living service of this user's is known at exactly that URL."""
    if fcntl is None or not _on_loopback(url):
        return None
    with suppress(OSError, RuntimeError, ValueError, KeyError, TypeError):  # RecursionError is a RuntimeError
        place = state_folder() / FOLDER / file_name(url)
        if not _alive(place):
            return None
        service = json.loads(_own(place))
        token = _own(Path(service["token_file"])).decode().strip()
        return token if service["url"] == url and _TOKEN.fullmatch(token) else None
    return None


def _on_loopback(url: str) -> bool:
    with suppress(ValueError):
        parts = urlsplit(url)
        return parts.scheme == "http" and not parts.username and ip_address(parts.hostname or "").is_loopback
    return False


def _alive(place: Path) -> bool:
    descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _own(path: Path) -> bytes:
    """Raises OSError for what others could have written, or can read."""
    seen = path.lstat()
    if seen.st_uid != os.geteuid() or stat.S_IMODE(seen.st_mode) & 0o077:
        raise OSError(f"{path} is not its user's alone")
    return read_plain(path, _MAX_BYTES)
