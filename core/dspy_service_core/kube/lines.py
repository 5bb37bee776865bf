"""The lines of a watch, of any length."""

from collections.abc import AsyncIterable, AsyncIterator


async def lines(pieces: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """`pieces` are cut anywhere. aiohttp's own `readline` refuses lines above its 128 KiB buffer."""
    held: list[bytes] = []
    async for piece in pieces:
        *whole, rest = piece.split(b"\n")
        for line in whole:
            yield b"".join((*held, line))
            held.clear()
        if rest:
            held.append(rest)
