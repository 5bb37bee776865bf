"""Errors of a Kubernetes API server, as exceptions.

KubeError
├── BadRequest        400
├── Unauthorized      401
├── Forbidden         403
├── NotFound          404
├── Conflict          409 reason Conflict: the object changed meanwhile
├── AlreadyExists     409 reason AlreadyExists
├── Expired           410: the resourceVersion or continue token is too old
├── TooLarge          413
├── Invalid           422
├── TooManyRequests   429
└── Unavailable       5xx, and no answer at all
"""

from collections.abc import Mapping
from typing import Any


class KubeError(Exception):
    """The server answered with an error; `status` is the `Status` object that came with it, if one came."""

    code = 500

    def __init__(self, message: str, status: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status: Mapping[str, Any] = status or {}


class BadRequest(KubeError):
    code = 400


class Unauthorized(KubeError):
    code = 401


class Forbidden(KubeError):
    code = 403


class NotFound(KubeError):
    code = 404


class Conflict(KubeError):
    code = 409


class AlreadyExists(KubeError):
    code = 409


class Expired(KubeError):
    code = 410


class TooLarge(KubeError):
    code = 413


class Invalid(KubeError):
    code = 422


class TooManyRequests(KubeError):
    code = 429


class Unavailable(KubeError):
    """No usable answer came. If `sent` is true, the request may have taken effect (a time-out after it was sent)."""

    code = 503

    def __init__(self, message: str, status: Mapping[str, Any] | None = None, *, sent: bool = False) -> None:
        super().__init__(message, status)
        self.sent = sent


_BY_CODE: dict[int, type[KubeError]] = {
    error.code: error
    for error in (BadRequest, Unauthorized, Forbidden, NotFound, Conflict, Expired, TooLarge, Invalid, TooManyRequests)
}


def from_status(code: int, status: Mapping[str, Any]) -> KubeError:
    """The exception for an HTTP code and the `Status` body that came with it."""
    message = str(status.get("message") or f"the API server answered {code}")
    if code == AlreadyExists.code and status.get("reason") == "AlreadyExists":
        return AlreadyExists(message, status)
    return _BY_CODE.get(code, Unavailable if code >= 500 else KubeError)(message, status)
