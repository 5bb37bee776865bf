"""Answers to what never becomes a request: whole, as bytes, and the connection closes behind them."""

from dataclasses import dataclass
from http import HTTPStatus

import orjson


@dataclass(frozen=True, slots=True)
class Refusal:
    status: HTTPStatus
    detail: str

    def as_bytes(self) -> bytes:
        body = orjson.dumps({"detail": self.detail})
        again = b"retry-after: 5\r\n" if self.status is HTTPStatus.SERVICE_UNAVAILABLE else b""
        return (
            f"HTTP/1.1 {self.status.value} {self.status.phrase}\r\n".encode()
            + b"content-type: application/json\r\nx-content-type-options: nosniff\r\nconnection: close\r\n"
            + again
            + f"content-length: {len(body)}\r\n\r\n".encode()
            + body
        )


MALFORMED = Refusal(HTTPStatus.BAD_REQUEST, "This is no HTTP request.")
FRAMING = Refusal(HTTPStatus.BAD_REQUEST, "The body's chunks hold more framing than data.")
PIPELINED = Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "Too many requests were sent ahead on one connection.")
SLOW_HEAD = Refusal(HTTPStatus.REQUEST_TIMEOUT, "The request's headers did not come in time.")
SLOW_BODY = Refusal(HTTPStatus.REQUEST_TIMEOUT, "The request's body did not come in time.")
FULL = Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "This service has as many connections as it takes: try again later.")
PEER_FULL = Refusal(
    HTTPStatus.SERVICE_UNAVAILABLE, "This service has as many connections as it takes from one address: close some."
)


def too_large(limit: int) -> Refusal:
    return Refusal(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"The request's headers are over this service's {limit} bytes."
    )


def too_many(limit: int) -> Refusal:
    return Refusal(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"The request has more than this service's {limit} header fields."
    )
