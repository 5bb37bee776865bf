"""Compares a model's endpoints with a list of hosts: those that jobs may name, or those that get the service's own
keys."""

import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from dspy_service_core.checks.models.credentials import holds_headers, public_url

Hosts = Sequence[str]
"""`example.org`, or `*.example.org` for every host below it."""

_PLAIN_URL = re.compile(r"https?://(?P<host>[a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?(/[^\\@]*)?", re.IGNORECASE)
"""Only URLs of this form can be on a list, because libraries read unusual ones in different ways."""
_PORTS = {"http": 80, "https": 443}
_ANY_URL = re.compile(r"\s*https?:", re.IGNORECASE)


def is_listed(url: str, hosts: Hosts) -> bool:
    match = _PLAIN_URL.fullmatch(url)
    if match is None:
        return False
    host = match["host"].lower().strip("[]")
    return any(_covers(entry.lower(), host) for entry in hosts)


def refused_urls(base_url: str | None, extra: Mapping[str, Any], hosts: Hosts) -> Iterator[tuple[str, str]]:
    """Yields (path below the spec's model, URL without its credentials) for each URL in a model's settings whose host
    is not on the list.

    All settings are searched and not only `baseUrl`, because settings of LiteLLM, such as fallbacks, have endpoints
    under many names.
    """
    urls = [*([("baseUrl", base_url)] if base_url else []), *_urls(extra, "extra")]
    for path, url in urls:
        try:
            shown = public_url(url)
        except ValueError:
            shown = ""  # credentials cannot be taken out of it, so it is not shown
        if not is_listed(shown, hosts):
            yield path, shown


def named_endpoints(base_url: str | None, extra: Mapping[str, Any]) -> Iterator[tuple[str, str, int]]:
    """Yields (path below the spec's model, host, port) for each URL in a model's settings; invalid ones are skipped."""
    for path, url in [*([("baseUrl", base_url)] if base_url else []), *_urls(extra, "extra")]:
        try:
            parts = urlsplit(url.strip())
            port = parts.port or _PORTS[parts.scheme]
        except (ValueError, KeyError):
            continue
        if parts.hostname:
            yield path, parts.hostname, port


def is_this_machine(host: str) -> bool:
    """Whether the host is this machine, as far as that can be told without a DNS query, and however the address is
    written."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    with suppress(OSError):
        name = socket.inet_ntoa(socket.inet_aton(name))  # 127.1 and 0x7f000001 are 127.0.0.1
    try:
        address = ip_address(name.partition("%")[0])
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified or _is_own(str(address), address.version)


def _is_own(address: str, version: int) -> bool:
    """Whether the address is one of this machine's: then a socket can be bound to it."""
    with socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _urls(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str) and _ANY_URL.match(value):
        yield path, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            if not holds_headers(name):  # a header may tell a site's address, which nobody calls
                yield from _urls(item, f"{path}.{name}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _urls(item, f"{path}[{index}]")


def _covers(entry: str, host: str) -> bool:
    return host == entry or (entry.startswith("*.") and host.endswith(entry[1:]))
