"""Whether a name begins with an allowed prefix, for images, URIs and dotted paths. All such tests are here.

A prefix must end where a part of the name ends. As mere text, `acme/team` would also allow `acme/team-evil`, and
`s3://data` would allow `s3://database`, which belong to other people. A name that is not written plainly is never
allowed, because the libraries that use it later might read it differently. Without pydantic, since the reporter imports
it.
"""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

_PART = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_TAG = r":[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"@[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]{32,}"
_IMAGE = re.compile(
    rf"(?:[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]{{1,5}})?/)?(?:{_PART})(?:/{_PART})*(?:{_TAG})?(?:{_DIGEST})?"
)
"""The grammar of container images, without hosts in brackets."""
_END_OF_NAME = re.compile(rf"(?:/[^:@]+)?(?:{_TAG})?(?:{_DIGEST})?")
"""What may follow a complete part of an image's name. A colon begins a tag; a port would mean another registry."""

_ODD = re.compile(r"[%\\\s\x00-\x1f\x7f]")
_HTTP = ("http://", "https://")


def image_is_below(image: str, prefixes: Iterable[str]) -> bool:
    return _IMAGE.fullmatch(image) is not None and any(_image_is_below(image, prefix) for prefix in prefixes)


def uri_is_below(uri: str, prefixes: Iterable[str]) -> bool:
    return is_plain_uri(uri) and any(_uri_is_below(uri, prefix) for prefix in prefixes)


def is_plain_uri(uri: str) -> bool:
    """Whether the URI has no escapes, no `.` or `..`, and no fragment or query (except over HTTP)."""
    if _ODD.search(uri) or "#" in uri or ("?" in uri and not uri.startswith(_HTTP)):
        return False
    try:
        path = urlsplit(uri).path
    except ValueError:  # half an address in brackets
        return False
    steps = {step.partition(";")[0] for step in path.split("/")}  # some servers cut parameters off each step
    return steps.isdisjoint({".", ".."})


def dotted_is_below(name: str, prefixes: Iterable[str]) -> bool:
    """Whether the name is of something inside an allowed module; the module itself does not count."""
    return any(name.startswith(f"{prefix}.") for prefix in prefixes)


def _image_is_below(image: str, prefix: str) -> bool:
    if not image.startswith(prefix):
        return False
    rest = image[len(prefix) :]
    if prefix.endswith((":", "@")):
        return "/" not in rest
    return prefix.endswith("/") or _END_OF_NAME.fullmatch(rest) is not None


def _uri_is_below(uri: str, prefix: str) -> bool:
    return uri == prefix or uri.startswith(prefix.rstrip("/") + "/")
