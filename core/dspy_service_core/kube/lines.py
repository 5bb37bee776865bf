"""Splits the bytes of a watch into lines of any length."""

from collections.abc import AsyncIterable, AsyncIterator


async def lines(pieces: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """`pieces` may end anywhere. aiohttp's own `readline` refuses lines above its buffer of 128 KiB."""
    held: list[bytes] = []
    async for piece in pieces:
        *whole, rest = piece.split(b"\n")
        for line in whole:
            yield b"".join((*held, line))
            held.clear()
        if rest:
            held.append(rest)
