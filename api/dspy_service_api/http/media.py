"""Whether a body is JSON by its Content-Type. Pure.

Without asking the service first, a browser lets a page of another site send only the content types of HTML forms, or
none. So every other type than JSON is refused. A missing type is taken for JSON only where no browser can have sent
the request, because scripts in the field leave it out.
"""

import re
from collections.abc import Iterable

_JSON = re.compile(r"application/(?:[a-z0-9!#$&^_.-]+\+)?json[ \t]*(?:;.*)?", re.IGNORECASE)
_FROM_BROWSERS = frozenset({b"origin", b"sec-fetch-site"})


class NotJson(Exception):
    """The body is not read, because its Content-Type is not JSON."""


def refused_type(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Why the body is refused; empty if it is read."""
    listed = list(headers)
    given = [value.decode("latin-1").strip() for name, value in listed if name == b"content-type"]
    if any(given):
        if len(given) == 1 and _JSON.fullmatch(given[0]):
            return ""
        return f"The body's Content-Type is '{', '.join(given)}': send JSON, as application/json."
    if any(name in _FROM_BROWSERS for name, _ in listed):
        return "The body has no Content-Type, which a web page must send: application/json."
    return ""
