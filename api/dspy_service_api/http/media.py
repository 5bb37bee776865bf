"""Whether a body is JSON by what its sender says of it. Pure.

A page of another site can send a body only as one of a form's types, or without any, unless the browser has asked
first. So another type than JSON is refused; no type at all is taken for JSON where no browser can be behind it, as
scripts in the field send none.
"""

import re
from collections.abc import Iterable

_JSON = re.compile(r"application/(?:[a-z0-9!#$&^_.-]+\+)?json[ \t]*(?:;.*)?", re.IGNORECASE)
_FROM_BROWSERS = frozenset({b"origin", b"sec-fetch-site"})


class NotJson(Exception):
    """Of a body that is not read."""


def refused_type(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Why the body is not read; empty for one that is."""
    listed = list(headers)
    given = [value.decode("latin-1").strip() for name, value in listed if name == b"content-type"]
    if any(given):
        if len(given) == 1 and _JSON.fullmatch(given[0]):
            return ""
        return f"The body's Content-Type is '{', '.join(given)}': send JSON, as application/json."
    if any(name in _FROM_BROWSERS for name, _ in listed):
        return "The body has no Content-Type, which a web page must send: application/json."
    return ""
