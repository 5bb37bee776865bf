"""Sockets between the node and a process in the sandbox: whole messages, and who sent each."""

import array
import asyncio
import socket
import struct
from dataclasses import dataclass

from dspy_service_local.node.processes.processes import StartError

_CREDENTIALS = struct.Struct("3i")
_MOST_DESCRIPTORS = 64


class Hung(StartError):
    """No answer in time: whoever does not answer one will not answer the next."""


@dataclass(frozen=True, slots=True)
class Message:
    """`sender` is the process that sent it, `descriptors` are those that came along."""

    data: bytes
    sender: int
    descriptors: list[int]


def channel() -> tuple[socket.socket, socket.socket]:
    """Ours tells who sent a message, as a process id of this machine."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    return ours, theirs


async def receive(channel: socket.socket, seconds: float) -> Message:
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(channel, readable.set)
    try:
        async with asyncio.timeout(seconds):
            await readable.wait()
    except TimeoutError as exc:
        raise Hung(f"no answer within {seconds:g} s") from exc
    finally:
        loop.remove_reader(channel)
    space = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(_MOST_DESCRIPTORS * 4)
    data, ancillary, _, _ = channel.recvmsg(4096, space, socket.MSG_CMSG_CLOEXEC)
    senders = [_CREDENTIALS.unpack(d)[0] for _, kind, d in ancillary if kind == socket.SCM_CREDENTIALS]
    passed = [array.array("i", d) for _, kind, d in ancillary if kind == socket.SCM_RIGHTS]
    return Message(data, senders[0] if senders else 0, [descriptor for some in passed for descriptor in some])
