"""Ready answers about finished jobs: they never change, and assembling one reads about ten small files.

Bounded in bytes. The newest used stay as they are, a quarter of the memory; what falls out of there is compressed
(logs and JSON shrink to about a fifth, and decompressing takes a tenth of the time of assembling) before it is
forgotten, so that a few thousand finished jobs fit.
"""

import zlib
from collections import OrderedDict

Key = tuple[str, str, str]
"""Which answer, the job's uid, the resource's version."""

_HOT_SHARE = 4
_LARGEST_SHARE = 8
"""One answer takes at most this part of the memory: a huge one would push all others out."""
_FASTEST = 1


class Bounded:
    """An LRU of bytes, bounded in bytes; what falls out is handed back."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: OrderedDict[Key, bytes] = OrderedDict()
        self.size = 0

    def get(self, key: Key) -> bytes | None:
        if (value := self._held.get(key)) is not None:
            self._held.move_to_end(key)
        return value

    def pop(self, key: Key) -> bytes | None:
        if (value := self._held.pop(key, None)) is not None:
            self.size -= len(value)
        return value

    def put(self, key: Key, value: bytes) -> list[tuple[Key, bytes]]:
        self.pop(key)
        self._held[key] = value
        self.size += len(value)
        fallen = []
        while self.size > self._limit:
            old, fell = self._held.popitem(last=False)
            self.size -= len(fell)
            fallen.append((old, fell))
        return fallen


class ReadyAnswers:
    def __init__(self, limit: int) -> None:
        self._largest = limit // _LARGEST_SHARE
        self._hot = Bounded(limit // _HOT_SHARE)
        self._cold = Bounded(limit - limit // _HOT_SHARE)

    @property
    def size(self) -> int:
        return self._hot.size + self._cold.size

    def get(self, key: Key) -> bytes | None:
        if (hot := self._hot.get(key)) is not None:
            return hot
        if (packed := self._cold.get(key)) is None:
            return None
        answer = zlib.decompress(packed)
        self.put(key, answer)  # what it pushes out of the hot part is compressed already
        return answer

    def put(self, key: Key, answer: bytes) -> None:
        if len(answer) > self._largest:
            return
        # Copied, because what orjson gives keeps a buffer up to twice as large for as long as it lives.
        for fallen, value in self._hot.put(key, bytes(memoryview(answer))):
            if self._cold.get(fallen) is None:
                self._cold.put(fallen, zlib.compress(value, _FASTEST))
