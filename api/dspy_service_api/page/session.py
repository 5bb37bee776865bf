"""Who a browser is: a sealed cookie that holds the visitor's token, and the word that every form of theirs carries.

Sealed with Fernet (encrypted and signed), by a key that all replicas share: any of them reads it, no browser can. A
cookie lives as long as the settings say, and no longer than its token, as far as that tells (`exp` of a JWT). What the
token is worth is decided anew at every request, where its owner asks for something.
"""

import base64
import hmac
import json
import secrets
import time
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from starlette.datastructures import URL
from starlette.requests import Request
from starlette.responses import Response

COOKIE = "dspy-service-page"
_MOST_BYTES = 3800
"""Browsers keep no cookie that is larger than 4096 bytes, name and attributes included."""


@dataclass(frozen=True, slots=True)
class Session:
    """`word` is its own, and of no use without the key."""

    token: str = ""
    word: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    until: int = 0


class TokenTooLong(Exception):
    """No browser would keep the cookie."""


class Seal:
    def __init__(self, key: bytes, lifetime: int) -> None:
        self._fernet = Fernet(base64.urlsafe_b64encode(_derived(key, b"cookie")))
        self._forms = _derived(key, b"forms")
        self._lifetime = lifetime

    def opened(self, request: Request) -> Session | None:
        """None where there is no cookie, or none of ours that still counts."""
        try:
            found = json.loads(self._fernet.decrypt(request.cookies.get(COOKIE, "").encode(), ttl=self._lifetime))
            session = Session(str(found["t"]), str(found["w"]), int(found["u"]))
        except (InvalidToken, ValueError, KeyError, TypeError):
            return None
        return session if session.until > time.time() else None

    def begun(self, token: str = "") -> Session:
        until = int(time.time()) + self._lifetime
        return Session(token, until=min(until, _expiry(token) or until))

    def put(self, session: Session, request: Request, response: Response) -> None:
        content = json.dumps({"t": session.token, "w": session.word, "u": session.until}).encode()
        sealed = self._fernet.encrypt(content).decode()
        if len(sealed) > _MOST_BYTES:
            raise TokenTooLong
        response.set_cookie(
            COOKIE,
            sealed,
            max_age=max(session.until - int(time.time()), 0),
            path="/",
            secure=by_tls(request),
            httponly=True,
            samesite="strict",
        )

    def form_word(self, session: Session) -> str:
        """What a form has to carry: another site neither knows it nor can find it out."""
        return hmac.new(self._forms, session.word.encode(), sha256).hexdigest()

    def is_form_word(self, session: Session, given: str) -> bool:
        return hmac.compare_digest(self.form_word(session).encode(), given.encode())


def take_away(request: Request, response: Response) -> None:
    response.delete_cookie(COOKIE, path="/", secure=by_tls(request), httponly=True, samesite="strict")


def by_tls(request: Request) -> bool:
    """As the browser sees it: TLS may end at an ingress, and what a browser says of its own origin it cannot be made to
    say wrong."""
    origin = request.headers.get("origin", "")
    return request.url.scheme == "https" or URL(origin).scheme == "https"


def _derived(key: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=b"dspy-service page " + purpose).derive(key)


def _expiry(token: str) -> int | None:
    """Of a JWT, unverified: it can only make the cookie's life shorter."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims: Any = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return int(claims["exp"])
    except (ValueError, KeyError, TypeError):
        return None
