"""How many answers may stay open at a time: each holds a connection and some memory for as long as its reader likes."""

from collections.abc import Iterator
from contextlib import contextmanager


class TooManyStreams(Exception):
    def __init__(self, most: int) -> None:
        super().__init__(f"{most} streams are open, as many as this service takes. Ask for the job itself meanwhile.")


class Streams:
    def __init__(self, most: int) -> None:
        self._most = most
        self.open = 0

    @contextmanager
    def one_more(self) -> Iterator[None]:
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1

    def require_room(self) -> None:
        """Asked before the answer begins, while it can still be another one."""
        if self.open >= self._most:
            raise TooManyStreams(self._most)
