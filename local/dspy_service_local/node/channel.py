"""Sockets between the node and a process in the sandbox: whole messages, and who sent each."""

import asyncio
import socket
import struct

from dspy_service_local.node.processes import StartError

_CREDENTIALS = struct.Struct("3i")


class Hung(StartError):
    """No answer in time: whoever does not answer one will not answer the next."""


def channel() -> tuple[socket.socket, socket.socket]:
    """Ours tells who sent a message, as a process id of this machine."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    return ours, theirs


async def receive(channel: socket.socket, seconds: float) -> tuple[bytes, int]:
    """The next message and the process that sent it."""
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(channel, readable.set)
    try:
        async with asyncio.timeout(seconds):
            await readable.wait()
    except TimeoutError as exc:
        raise Hung(f"no answer within {seconds:g} s") from exc
    finally:
        loop.remove_reader(channel)
    data, ancillary, _, _ = channel.recvmsg(4096, socket.CMSG_SPACE(_CREDENTIALS.size))
    senders = [_CREDENTIALS.unpack(d)[0] for level, kind, d in ancillary if kind == socket.SCM_CREDENTIALS]
    return data, senders[0] if senders else 0
