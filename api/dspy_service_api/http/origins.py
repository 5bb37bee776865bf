"""Whether a request may come from a web page of another site, by its Host and Origin. Pure.

Browsers add `Origin` by themselves, so it is checked in every mode. `Host` is checked where no token is needed: there a
foreign page could use DNS rebinding to reach this service under the page's own host name. IP addresses cannot be
rebound, so they are allowed.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

_AUTHORITY = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[^:\[\]/@\s]+)(?::(?P<port>[0-9]{1,5}))?")
_PORTS = {"http": "80", "https": "443"}


def foreign_host(headers: Mapping[bytes, bytes], hosts: frozenset[str]) -> str:
    """Why the Host is refused; empty if it is allowed. A missing one is allowed, since browsers always send it."""
    if b"host" not in headers:
        return ""
    return _refused_host(_text(headers[b"host"]), hosts)


@lru_cache(1024)
def _refused_host(host: str, hosts: frozenset[str]) -> str:
    """Cached, since nearly all requests name the same host."""
    authority = _AUTHORITY.fullmatch(host)
    name = authority["name"].removesuffix(".") if authority else ""
    if name and (name in hosts or host in hosts or name == "localhost" or _is_address(name)):
        return ""
    allowed = ", ".join(("localhost", "IP addresses", *sorted(hosts)))
    return f"Host '{host}' is not this service's: allowed are {allowed}."


def foreign_origin(headers: Mapping[bytes, bytes], origins: frozenset[str]) -> str:
    origin = headers.get(b"origin")
    if origin is None:
        return ""
    given = _text(origin)
    if given in origins or _same(given, _text(headers.get(b"host", b""))):
        return ""
    return f"Origin '{given}' may not call this service from a web page."


def _same(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    port = _PORTS.get(parts.scheme)
    if port is None or origin != f"{parts.scheme}://{parts.netloc}":
        return False
    return parts.netloc.removesuffix(f":{port}") == host.removesuffix(f":{port}") != ""


def _is_address(name: str) -> bool:
    try:
        ip_address(name[1:-1] if name.startswith("[") else name)
    except ValueError:
        return False
    return True


def _text(value: bytes) -> str:
    return value.decode("latin-1").strip().lower()
