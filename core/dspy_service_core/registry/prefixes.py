"""Whether a name is below what an operator of the service allows: every such test is here, for all kinds of names.

A prefix ends where a part of the name ends. As mere text `acme/team` would allow `acme/team-evil`, and `s3://data`
`s3://database`, which are other people's. What is not written plainly is below nothing: the libraries that come to read
it later would not agree with us about what it names. Free of pydantic: the reporter imports it.
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
"""What may follow a whole part of an image's name. A colon begins a tag: no port, which would be another registry."""

_ODD = re.compile(r"[%\\\s\x00-\x1f\x7f]")
_HTTP = ("http://", "https://")


def image_is_below(image: str, prefixes: Iterable[str]) -> bool:
    return _IMAGE.fullmatch(image) is not None and any(_image_is_below(image, prefix) for prefix in prefixes)


def uri_is_below(uri: str, prefixes: Iterable[str]) -> bool:
    return is_plain_uri(uri) and any(_uri_is_below(uri, prefix) for prefix in prefixes)


def is_plain_uri(uri: str) -> bool:
    """Without escapes, steps out of a folder, and parts that are no place."""
    if _ODD.search(uri) or "#" in uri or ("?" in uri and not uri.startswith(_HTTP)):
        return False
    try:
        path = urlsplit(uri).path
    except ValueError:  # half an address in brackets
        return False
    steps = {step.partition(";")[0] for step in path.split("/")}  # some servers cut parameters off each step
    return steps.isdisjoint({".", ".."})


def dotted_is_below(name: str, prefixes: Iterable[str]) -> bool:
    """Below a module, not that itself: what is named is something in it."""
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
