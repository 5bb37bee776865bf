"""Whether a request on a loopback address can be this machine's own, by its Host and Origin. Pure."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_AUTHORITY = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[^:\[\]/@]+)(?::[0-9]{1,5})?")


def foreign(headers: Mapping[bytes, bytes], hosts: frozenset[str], origins: frozenset[str]) -> str:
    """Why a request cannot be this machine's own; empty for one that can."""
    host = headers.get(b"host", b"").decode("latin-1").lower()
    authority = _AUTHORITY.fullmatch(host)
    if not authority or (authority["name"] not in hosts and host not in hosts):
        return f"Host '{host}' is not this service's: allowed are {', '.join(sorted(hosts))}."
    origin = headers.get(b"origin")
    if origin is None:
        return ""
    given = origin.decode("latin-1").lower()
    if given in origins or _authority_of(given) == host:
        return ""
    return f"Origin '{given}' may not call this service from a web page."


def _authority_of(origin: str) -> str | None:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return None
    return parts.netloc if parts.scheme in ("http", "https") else None
