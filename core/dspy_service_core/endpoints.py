"""A model's endpoint against a list of hosts: which ones jobs may name, and which ones get the service's own keys."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dspy_service_core.credentials import holds_headers, public_url

Hosts = Sequence[str]
"""`example.org`, or `*.example.org` for every host below it."""

_PLAIN_URL = re.compile(r"https?://(?P<host>[a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?(/[^\\@]*)?", re.IGNORECASE)
"""Anything odder than this is read differently by different libraries, and is on no list."""
_ANY_URL = re.compile(r"\s*https?:", re.IGNORECASE)


def is_listed(url: str, hosts: Hosts) -> bool:
    match = _PLAIN_URL.fullmatch(url)
    if match is None:
        return False
    host = match["host"].lower().strip("[]")
    return any(_covers(entry.lower(), host) for entry in hosts)


def refused_urls(base_url: str | None, extra: Mapping[str, Any], hosts: Hosts) -> Iterator[tuple[str, str]]:
    """(path, URL without its credentials) of what a model's settings hold and the list does not.

    Not `base_url` alone: settings of LiteLLM further down, such as fallbacks, name endpoints under many names.
    """
    urls = [*([("base_url", base_url)] if base_url else []), *_urls(extra, "extra")]
    for path, url in urls:
        try:
            shown = public_url(url)
        except ValueError:
            shown = ""  # no URL at all: its owner need not read it again
        if not is_listed(shown, hosts):
            yield path, shown


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
