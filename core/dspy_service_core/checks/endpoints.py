"""A model's endpoint against a list of hosts: which ones jobs may name, and which ones get the service's own keys."""

import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from dspy_service_core.checks.credentials import holds_headers, public_url

Hosts = Sequence[str]
"""`example.org`, or `*.example.org` for every host below it."""

_PLAIN_URL = re.compile(r"https?://(?P<host>[a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?(/[^\\@]*)?", re.IGNORECASE)
"""Anything odder than this is read differently by different libraries, and is on no list."""
_PORTS = {"http": 80, "https": 443}
_ANY_URL = re.compile(r"\s*https?:", re.IGNORECASE)


def is_listed(url: str, hosts: Hosts) -> bool:
    match = _PLAIN_URL.fullmatch(url)
    if match is None:
        return False
    host = match["host"].lower().strip("[]")
    return any(_covers(entry.lower(), host) for entry in hosts)


def refused_urls(base_url: str | None, extra: Mapping[str, Any], hosts: Hosts) -> Iterator[tuple[str, str]]:
    """(path below the spec's model, URL without its credentials) of what a model's settings hold and the list does not.

    Not `baseUrl` alone: settings of LiteLLM further down, such as fallbacks, name endpoints under many names.
    """
    urls = [*([("baseUrl", base_url)] if base_url else []), *_urls(extra, "extra")]
    for path, url in urls:
        try:
            shown = public_url(url)
        except ValueError:
            shown = ""  # no URL at all: its owner need not read it again
        if not is_listed(shown, hosts):
            yield path, shown


def named_endpoints(base_url: str | None, extra: Mapping[str, Any]) -> Iterator[tuple[str, str, int]]:
    """(path below the spec's model, host, port) of every URL in a model's settings, as far as it is one."""
    for path, url in [*([("baseUrl", base_url)] if base_url else []), *_urls(extra, "extra")]:
        try:
            parts = urlsplit(url.strip())
            port = parts.port or _PORTS[parts.scheme]
        except (ValueError, KeyError):
            continue
        if parts.hostname:
            yield path, parts.hostname, port


def is_this_machine(host: str) -> bool:
    """As far as it can be said without asking for names: in whichever way its address is written."""
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
    """Whether one could listen there."""
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
            if not holds_headers(name):  # a site's own address is sent as one
                yield from _urls(item, f"{path}.{name}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _urls(item, f"{path}[{index}]")


def _covers(entry: str, host: str) -> bool:
    return host == entry or (entry.startswith("*.") and host.endswith(entry[1:]))
