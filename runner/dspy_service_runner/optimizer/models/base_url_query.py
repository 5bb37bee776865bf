"""Moves the query of a base URL behind each call's path, because dspy's own client puts the path behind the query."""

from typing import Any

from dspy._vendor.lm15.transports import _async, _sync


def install() -> None:
    """Replaces the function with which both of dspy's transports parse the URL of a call."""
    parse = _sync.parse_url

    def parse_in_order(url: str) -> Any:
        return parse(query_last(url))

    for transport in (_sync, _async):
        transport.parse_url = parse_in_order


def query_last(url: str) -> str:
    endpoint, mark, rest = url.partition("?")
    query, slash, path = rest.partition("/")
    return f"{endpoint.rstrip('/')}/{path}?{query}" if mark and slash else url
