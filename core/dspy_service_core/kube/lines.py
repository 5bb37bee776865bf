"""The lines of a watch, of any length."""

from collections.abc import AsyncIterator

import aiohttp


async def lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """The stream reader's own `readline` refuses those above its 128 KiB buffer."""
    held: list[bytes] = []
    async for chunk in content.iter_any():
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            yield b"".join((*held, line))
            held.clear()
        if rest:
            held.append(rest)
