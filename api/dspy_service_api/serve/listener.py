"""Accepts connections and assigns each a seat before it costs a handshake, a parser or a task."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress

from dspy_service_api.serve.crowd import Crowd, Seat
from dspy_service_api.serve.limits import ConnectionLimits
from dspy_service_api.serve.refusals import Refusal

log = logging.getLogger(__name__)

_AT_ONCE = 64
_AGAIN_SECONDS = 0.5
_SHUTDOWN_SECONDS = 1.0
_LINGER_SECONDS = 1.0
"""Closing a socket with unread bytes resets the connection, and the client may lose our answer: so it stays open until
the answer can have been read."""
_MOST_LINGERING = 64

MakeProtocol = Callable[[Crowd, Seat], asyncio.Protocol]


class Listener:
    """Has `close` and `wait_closed`, which uvicorn expects of an asyncio server. It owns the sockets."""

    def __init__(
        self, sockets: Sequence[socket.socket], tls: ssl.SSLContext | None, limits: ConnectionLimits, make: MakeProtocol
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._sockets = list(sockets)
        self._tls = tls
        self._limits = limits
        self._make = make
        self.crowd = Crowd(limits)
        self._arriving: set[asyncio.Task[None]] = set()
        self._lingering: set[socket.socket] = set()
        for listening in self._sockets:
            listening.setblocking(False)
            self._loop.add_reader(listening, self._accept, listening)
        self._looking = self._loop.call_later(limits.look_seconds, self._look)

    def close(self) -> None:
        self._looking.cancel()
        for listening in self._sockets:
            self._loop.remove_reader(listening)
            listening.close()
        self._sockets.clear()
        for task in self._arriving:
            task.cancel()

    async def wait_closed(self) -> None:
        if self._arriving:
            await asyncio.wait(self._arriving)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                accepted, address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as exc:
                self._rest(listening, exc)
                return
            accepted.setblocking(False)
            self._welcome(accepted, address)

    def _rest(self, listening: socket.socket, exc: OSError) -> None:
        """The machine lacks something, such as free descriptors: pause before accepting again."""
        log.warning("cannot accept a connection: %s", exc.strerror)
        self._loop.remove_reader(listening)
        self._loop.call_later(_AGAIN_SECONDS, self._listen_again, listening)

    def _listen_again(self, listening: socket.socket) -> None:
        if listening in self._sockets:
            self._loop.add_reader(listening, self._accept, listening)

    def _welcome(self, accepted: socket.socket, address: object) -> None:
        seat = self.crowd.take(str(address[0]) if isinstance(address, tuple) else "")
        if isinstance(seat, Refusal):
            self._turn_away(accepted, seat)
            return
        with suppress(OSError):
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = self._loop.create_task(self._arrive(accepted, seat))
        seat.holder = _Arriving(task)
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)

    async def _arrive(self, accepted: socket.socket, seat: Seat) -> None:
        """With TLS this lasts until the handshake is over, for which the time of a head is allowed."""
        try:
            await self._loop.connect_accepted_socket(
                lambda: self._make(self.crowd, seat),
                accepted,
                ssl=self._tls,
                ssl_handshake_timeout=self._limits.head_seconds if self._tls else None,
                ssl_shutdown_timeout=_SHUTDOWN_SECONDS if self._tls else None,
            )
        except (OSError, asyncio.CancelledError) as exc:  # ssl.SSLError is one, ended handshakes are others
            self.crowd.leave(seat)
            accepted.close()
            if isinstance(exc, asyncio.CancelledError):
                raise

    def _turn_away(self, accepted: socket.socket, refusal: Refusal) -> None:
        """Before a handshake no answer can be sent over TLS, so such a connection is just closed."""
        if self._tls is not None or len(self._lingering) >= _MOST_LINGERING:
            accepted.close()
            return
        with suppress(OSError):
            accepted.send(refusal.as_bytes())
            accepted.shutdown(socket.SHUT_WR)
        self._lingering.add(accepted)
        self._loop.call_later(_LINGER_SECONDS, self._let_go, accepted)

    def _let_go(self, accepted: socket.socket) -> None:
        self._lingering.discard(accepted)
        accepted.close()

    def _look(self) -> None:
        now = self._loop.time()
        for seat in self.crowd:
            if seat.holder is not None:
                seat.holder.look(now)
        self._looking = self._loop.call_later(self._limits.look_seconds, self._look)


async def bound(host: str, port: int, backlog: int) -> list[socket.socket]:
    """Binds every address of the host name, as asyncio's own servers do; an empty one means all of the machine."""
    found = await asyncio.get_running_loop().getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    places = dict.fromkeys((family, address) for family, _, _, _, address in found)
    return [socket.create_server(address, family=family, backlog=backlog) for family, address in places]


class _Arriving:
    """Holds a seat until the protocol takes over. asyncio itself bounds the time of the handshake."""

    def __init__(self, task: asyncio.Task[None]) -> None:
        self._task = task

    def give_way(self) -> None:
        self._task.cancel()

    def look(self, now: float) -> None:
        return
