"""uvicorn's HTTP/1.1 protocol with bounds: bytes and fields of a head, trailers, framing, pauses, requests sent ahead.

The parser does not show a header field before its end. So the bytes of a head are counted as they are fed to the
parser, in pieces no larger than what is still allowed. A request costs only a few assignments here: times are checked
for all connections together, a few times a second (`listener.py`).
"""

import asyncio
from enum import Enum, auto
from typing import Any

import httptools
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from dspy_service_api.serve import refusals
from dspy_service_api.serve.crowd import Crowd, Seat
from dspy_service_api.serve.limits import ConnectionLimits
from dspy_service_api.serve.refusals import Refusal

_PIECE = 64 * 1024
_CHUNK_FRAMING = 16
"""Bytes of framing that are allowed for each chunk, as in Go's server; besides, two for each byte of data."""
_LINGER_SECONDS = 1.0
_LINGER_BYTES = 1024 * 1024
"""How many bytes of a refused client are still read and thrown away, since many clients read the answer only when they
have sent everything."""


class Phase(Enum):
    IDLE = auto()
    HEAD = auto()
    BODY = auto()
    ANSWERING = auto()  # the request is whole
    LEFTOVER = auto()  # it is answered before it is whole
    DEAF = auto()  # nothing more is read of this connection


class _Refused(Exception):
    """Raised in a callback to stop the parser, which reports only that a callback failed."""


class LimitedProtocol(HttpToolsProtocol):
    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        limits: ConnectionLimits,
        crowd: Crowd,
        seat: Seat,
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._limits = limits
        self._crowd = crowd
        self._seat = seat
        self._phase = Phase.HEAD
        self._since = self._heard = self.loop.time()
        self._running: RequestResponseCycle | None = None
        self._why: Refusal | None = None
        self._heads = 0
        self._fed = 0  # of the head
        self._body = 0  # of the request
        self._data = 0  # of the piece
        self._chunks = 0  # of the piece
        self._excess = 0
        self._discarded = 0
        self._unsent = 0
        self._stuck_since: float | None = None

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self._begin(Phase.HEAD)
        self._seat.holder = self

    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.leave(self._seat)
        self._seat.holder = None
        self.pipeline.clear()
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()
        self._running = None
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        self._stuck_since = None
        super().resume_writing()

    def give_way(self) -> None:
        """Another connection has the seat already, so this one ends at once, after a refusal if it was sending a
        head."""
        if self._phase is Phase.HEAD and not self.transport.is_closing():
            self._hear_no_more()
            self.transport.write(refusals.SLOW_HEAD.as_bytes())
        self.loop.call_soon(self.transport.abort)

    # What comes in

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._phase is Phase.IDLE:
            self._begin(Phase.HEAD)
        if len(data) <= self._room():
            self._feed(data)
            return
        rest = memoryview(data)
        while rest:
            piece = rest[: self._room()]
            self._feed(piece)
            rest = rest[len(piece) :]

    def _room(self) -> int:
        return max(1, self._limits.head_bytes - self._fed) if self._phase is Phase.HEAD else _PIECE

    def _feed(self, piece: bytes | memoryview) -> None:
        if self._phase is Phase.DEAF:
            self._discard(len(piece))
            return
        heads, before = self._heads, self._phase
        self._data = self._chunks = 0
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            self._hear_no_more()  # what follows the head would be another protocol's, which is not spoken here
        except httptools.HttpParserError:
            self._refuse(self._why or refusals.MALFORMED)
        else:
            self._count(len(piece), before, same=heads == self._heads)

    def _count(self, size: int, before: Phase, *, same: bool) -> None:
        """The piece in which a head begins is not counted as part of it; pieces are small."""
        if self._phase is Phase.HEAD:
            self._fed = self._fed + size if same and before is Phase.HEAD else 0
            if self._fed >= self._limits.head_bytes:
                self._refuse(refusals.too_large(self._limits.head_bytes))
        elif before in (Phase.BODY, Phase.LEFTOVER) and same:
            allowed = _CHUNK_FRAMING * self._chunks + 3 * self._data
            self._excess = max(0, self._excess + size - allowed)
            if self._excess > self._limits.head_bytes:
                self._refuse(refusals.FRAMING)

    # What the parser tells

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._phase is not Phase.HEAD:
            self._begin(Phase.HEAD)

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= self._limits.pipelined:
            self._stop(refusals.PIPELINED)
        self._bound_fields(len(self.url))
        if not self.url.startswith((b"/", b"*")):
            self._host_of_target()
        super().on_headers_complete()
        self.headers = []  # for a trailer, which nobody looks at: who has looked at the headers does not look again
        self._heads += 1
        self._body = self._excess = 0
        self._begin(Phase.BODY)
        self._crowd.works(self._seat)

    def on_body(self, body: bytes) -> None:
        self._heard = self.loop.time()
        self._body += len(body)
        self._data += len(body)
        self._chunks += 1
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.headers:
            self._bound_fields(0)
        super().on_message_complete()
        if self._phase is Phase.BODY:
            self._begin(Phase.ANSWERING)
        elif self._phase is Phase.LEFTOVER:
            self._rest()

    def _bound_fields(self, target: int) -> None:
        """Bounds the fields of a head (with the bytes of its target) or of a trailer, once they are complete."""
        if len(self.headers) > self._limits.head_fields:
            self._stop(refusals.too_many(self._limits.head_fields))
        if sum([len(name) + len(value) + 4 for name, value in self.headers]) + target > self._limits.head_bytes:
            self._stop(refusals.too_large(self._limits.head_bytes))

    def _host_of_target(self) -> None:
        """An absolute URL in the request line names the host, whatever the Host header says (RFC 9112, 3.2.2)."""
        target = httptools.parse_url(self.url)
        if target.host is not None:
            port = b":%d" % target.port if target.port else b""
            name = b"[%b]" % target.host if b":" in target.host else target.host
            self.headers[:] = [field for field in self.headers if field[0] != b"host"]
            self.headers.append((b"host", name + port))

    # What goes out

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._answering() or self.transport.is_closing():
            return
        if self._phase is Phase.BODY:
            self._begin(Phase.LEFTOVER)
            self._crowd.waits(self._seat)
        elif self._phase is Phase.ANSWERING:
            self._rest()
        elif self._phase is Phase.HEAD:
            self._crowd.waits(self._seat)

    def send_400_response(self, msg: str) -> None:
        self._refuse(refusals.MALFORMED)

    # Time

    def look(self, now: float) -> None:
        self._watch_writing(now)
        match self._phase:
            case Phase.HEAD if now - self._since > self._limits.head_seconds:
                self._refuse(refusals.SLOW_HEAD)
            case Phase.BODY:
                self._watch_body(now)
            case Phase.LEFTOVER if now - self._since > self._limits.pause_seconds:
                self._hear_no_more()
                self.transport.close()
            case Phase.IDLE if now - self._since > self.timeout_keep_alive:
                self.transport.close()

    def _watch_body(self, now: float) -> None:
        if self.flow.read_paused:  # we are the slow side
            self._since, self._heard, self._body = now, now, 0
        enough = self._limits.pause_seconds + self._body / self._limits.bytes_per_second
        if now - self._heard > self._limits.pause_seconds or now - self._since > enough:
            self._refuse(refusals.SLOW_BODY)

    def _watch_writing(self, now: float) -> None:
        """A client that does not read its answer is cut off, since the answer holds memory and a seat."""
        unsent = self.transport.get_write_buffer_size()
        if not unsent:
            self._stuck_since = None
        elif self._stuck_since is None or unsent < self._unsent:
            self._stuck_since, self._unsent = now, unsent
        elif now - self._stuck_since > self._limits.pause_seconds:
            self.transport.abort()

    # Ends

    def _begin(self, phase: Phase) -> None:
        self._phase = phase
        self._since = self._heard = self.loop.time()
        if phase is Phase.HEAD:
            self._fed = 0

    def _rest(self) -> None:
        self._begin(Phase.IDLE)
        self._crowd.waits(self._seat)

    def _answering(self) -> bool:
        return self._running is not None and not self._running.response_complete

    def _stop(self, why: Refusal) -> None:
        self._why = why
        raise _Refused

    def _refuse(self, why: Refusal) -> None:
        """If an earlier request is still being answered, that answer is finished and is the last one: a refusal must
        not be written into it."""
        own = self._running is self.cycle and self._phase is Phase.BODY
        if self._answering() and not own:
            self._hear_no_more()
            return
        begun = self._answering() and self.cycle.response_started
        self._hear_no_more()
        if own:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if begun:
            self.transport.close()
        else:
            self._say(why)

    def _say(self, why: Refusal) -> None:
        if self.transport.is_closing():
            return
        self.transport.write(why.as_bytes())
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(_LINGER_SECONDS, self.transport.abort)

    def _hear_no_more(self) -> None:
        self._begin(Phase.DEAF)
        self.pipeline.clear()
        if self._running is not None:
            self._running.keep_alive = False

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > _LINGER_BYTES:
            self.flow.pause_reading()
