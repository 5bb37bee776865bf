"""Authentication: what every authenticator returns, and the two that need nothing but the settings."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from dspy_service_api.answers.error_codes import NO_TOKEN
from dspy_service_api.http.access.permissions import Permission
from dspy_service_api.http.problems import Problem

Headers = Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Visitor:
    """The caller that was let in, by the name that the cluster knows; empty in the modes that know no names."""

    name: str = ""


ANYBODY = Visitor()


class Authenticator(Protocol):
    async def ask(self, permission: Permission | None, headers: Headers) -> Visitor | Problem:
        """Without a permission it only finds out who calls. Raises the errors of `kube.errors` if the cluster cannot
        say."""
        ...


class NoAuthentication:
    async def ask(self, permission: Permission | None, headers: Headers) -> Visitor | Problem:
        return ANYBODY


class TokenAuthenticator:
    def __init__(self, token: str) -> None:
        self._token = token.encode()

    async def ask(self, permission: Permission | None, headers: Headers) -> Visitor | Problem:
        if hmac.compare_digest(bearer(headers), self._token):
            return ANYBODY
        return unknown("This service asks for a token: send it as 'Authorization: Bearer <token>'.")


def bearer(headers: Headers) -> bytes:
    """The token of the Authorization header; empty where there is none."""
    scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
    return given.strip() if scheme.lower() == b"bearer" else b""


def unknown(detail: str) -> Problem:
    return Problem(NO_TOKEN, detail, headers={"WWW-Authenticate": "Bearer"})
