"""Removes the job's model keys and secrets from everything that leaves the pod: their values, and the forms in which
these appear in JSON, URLs, headers and the like.

The optimizer must hold the keys, and its code, a library or a provider's error message may print them. This prevents
accidents; user code that wants to give its own key away can always disguise it. The reporter redacts what it stores and
reports, the optimizer what it prints to the container's output.
"""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

import orjson

from dspy_service_core.checks.models.credentials import user_part
from dspy_service_core.resource import names

MARK = "[redacted]"
SHORTEST = 8
"""Shorter values are not redacted: they are placeholders for local servers (none, EMPTY, ollama), and occur in ordinary
text."""


class Redactor:
    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
        longest_first = sorted(forms, key=len, reverse=True)
        self._needles = [form.encode(errors="surrogatepass") for form in longest_first]
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def finds(self, content: bytes) -> bool:
        return any(needle in content for needle in self._needles)

    def text(self, text: str) -> str:
        # Searching for plain bytes is about ten times as fast as the pattern, and almost always finds nothing.
        if self._pattern is None or not self.finds(text.encode(errors="surrogatepass")):
            return text
        return self._pattern.sub(MARK, text)

    def json(self, value: Any) -> Any:
        """Redacts every string in the value, names of members too, and replaces a number that contains a secret."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(key): self.json(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.json(item) for item in value]
        if isinstance(value, int | float) and self.finds(str(value).encode()):
            return MARK
        return value

    @property
    def longest(self) -> int:
        return len(self._needles[0]) if self._needles else 0


def secrets_of(environ: Mapping[str, str]) -> Iterator[str]:
    """Every value that the operator put into the pod's environment as a model key or as another credential of the
    job."""
    for variable, value in environ.items():
        for secret in _held(variable, value):
            yield secret.strip()
            yield from secret.split("\n")  # a PEM key may be logged line by line


def _held(variable: str, value: str) -> Iterator[str]:
    if names.is_key_variable(variable) or names.secret_of(variable):
        yield value
    if names.is_credentials_variable(variable):
        yield from _credentials(value or "{}")
    if names.secret_of(variable):
        yield from _parts(value)


def _parts(secret: str) -> Iterator[str]:
    """What a secret that is JSON (a service account, say) or a URL with a password consists of."""
    try:
        content = orjson.loads(secret)
    except orjson.JSONDecodeError:
        yield from _url_secrets(secret)
        return
    yield from _leaves(content)


def _credentials(document: str) -> Iterator[str]:
    try:
        content = orjson.loads(document)
    except orjson.JSONDecodeError:
        yield document
        return
    for leaf in _leaves(content):
        yield leaf
        yield leaf.rpartition(" ")[2]  # without the scheme of `Bearer ...`
        yield from _url_secrets(leaf)


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _leaves(item)


def _url_secrets(text: str) -> Iterator[str]:
    try:
        parts = urlsplit(text)
    except ValueError:
        return
    if parts.scheme and parts.netloc:
        written = [part for part in (parts.username, parts.password) if part]
        yield from written
        yield from map(unquote, written)
        yield user_part(text)  # user and password together: in that form they are encoded into the header
        yield from (value for _, value in parse_qsl(parts.query))


def _forms(secret: str) -> Iterator[str]:
    yield secret
    yield orjson.dumps(secret).decode()[1:-1]
    yield repr(secret)[1:-1]
    yield quote(secret, safe="")
    yield quote_plus(secret)
    yield from _base64_forms(secret.encode())


def _base64_forms(secret: bytes) -> Iterator[str]:
    """Base64 of the secret alone, and as part of a longer text: for each of the three alignments those characters that
    do not depend on what stands next to it."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(secret).decode().rstrip("=")
        for shift in range(3):
            shifted = encode(b"\0" * shift + secret).decode().rstrip("=")
            begin = -(-shift * 8 // 6)
            end = (shift + len(secret)) * 8 // 6
            yield shifted[begin:end]
