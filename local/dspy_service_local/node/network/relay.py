"""Takes the connections that a container makes to a forwarded address, and connects them with where that leads."""

import asyncio
import os
import socket
from collections.abc import Sequence
from contextlib import suppress

from dspy_service_local.node.network.endpoints import Endpoint

_CHUNK = 64 * 1024


class Relay:
    """`listeners` are sockets in the container's network; what is beyond `most` connections at once waits there."""

    def __init__(self, listeners: Sequence[socket.socket], targets: Sequence[Endpoint], most: int) -> None:
        self._room = asyncio.Semaphore(most)
        self._connections: set[asyncio.Task[None]] = set()
        self._accepting = [
            asyncio.create_task(self._accept(listener, target))
            for listener, target in zip(listeners, targets, strict=True)
        ]

    def close(self) -> None:
        for task in (*self._accepting, *self._connections):
            task.cancel()

    async def _accept(self, listener: socket.socket, target: Endpoint) -> None:
        loop = asyncio.get_running_loop()
        listener.setblocking(False)
        with listener:
            while True:
                await self._room.acquire()
                try:
                    connection, _ = await loop.sock_accept(listener)
                except OSError:  # this one went away, or the node has no descriptor left
                    self._room.release()
                    await asyncio.sleep(1)
                    continue
                except BaseException:
                    self._room.release()
                    raise
                task = loop.create_task(_connect(connection, target))
                self._connections.add(task)
                task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._connections.discard(task)
        self._room.release()


async def _connect(inner: socket.socket, target: Endpoint) -> None:
    family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
    with inner, socket.socket(family, socket.SOCK_STREAM) as outer, suppress(OSError):
        inner.setblocking(False)
        outer.setblocking(False)
        await asyncio.get_running_loop().sock_connect(outer, target)
        for end in (inner, outer):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(inner, outer))
            group.create_task(_pump(outer, inner))


async def _pump(source: socket.socket, sink: socket.socket) -> None:
    """One direction, until its end; an error on either side ends both."""
    loop = asyncio.get_running_loop()
    try:
        while data := await loop.sock_recv(source, _CHUNK):
            await loop.sock_sendall(sink, data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def sockets(descriptors: Sequence[int]) -> list[socket.socket]:
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    return [socket.socket(fileno=descriptor) for descriptor in descriptors]
