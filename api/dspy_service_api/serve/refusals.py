"""Answers, as bytes, to what never becomes a request; the connection is closed after them."""

from dataclasses import dataclass
from http import HTTPStatus

import orjson

from dspy_service_api.answers import error_codes
from dspy_service_api.answers.error_codes import ErrorCode
from dspy_service_api.answers.schemas.errors import Error


@dataclass(frozen=True, slots=True)
class Refusal:
    code: ErrorCode
    detail: str

    def as_bytes(self) -> bytes:
        answer: Error = {"detail": self.detail, "code": self.code.code}
        body = orjson.dumps(answer)
        again = b"retry-after: 5\r\n" if self.code.again else b""
        return (
            f"HTTP/1.1 {self.code.status} {HTTPStatus(self.code.status).phrase}\r\n".encode()
            + b"content-type: application/json\r\nx-content-type-options: nosniff\r\nconnection: close\r\n"
            + again
            + f"content-length: {len(body)}\r\n\r\n".encode()
            + body
        )


MALFORMED = Refusal(error_codes.MALFORMED_HTTP, "This is no HTTP request.")
FRAMING = Refusal(error_codes.MALFORMED_HTTP, "The body's chunks hold more framing than data.")
PIPELINED = Refusal(error_codes.TOO_MANY_AHEAD, "Too many requests were sent ahead on one connection.")
SLOW_HEAD = Refusal(error_codes.REQUEST_TIMEOUT, "The request's headers did not come in time.")
SLOW_BODY = Refusal(error_codes.REQUEST_TIMEOUT, "The request's body did not come in time.")
FULL = Refusal(error_codes.TOO_MANY_CONNECTIONS, "This service has as many connections as it takes: try again later.")
PEER_FULL = Refusal(
    error_codes.TOO_MANY_CONNECTIONS,
    "This service has as many connections as it takes from one address: close some.",
)


def too_large(limit: int) -> Refusal:
    return Refusal(error_codes.HEADERS_TOO_LARGE, f"The request's headers are over this service's {limit} bytes.")


def too_many(limit: int) -> Refusal:
    return Refusal(error_codes.HEADERS_TOO_LARGE, f"The request has more than this service's {limit} header fields.")
