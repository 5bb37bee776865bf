"""Which jobs may run: by priority, then by age (`core/resource/queue_order.py`), within a limit overall and one for
each namespace. Pure: it knows nothing of Kubernetes.

Each namespace has a heap of its own, so that a full namespace does not block the others, and an event of a waiting job
costs one dictionary look-up, however many wait. Withdrawn entries stay in the heap until they reach its top.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field

from dspy_service_core.resource.queue_order import Rank

Key = tuple[str, str]
"""(namespace, name)"""


@dataclass(slots=True)
class _Namespace:
    heap: list[tuple[Rank, Key]] = field(default_factory=list)
    running: int = 0


class Queue:
    """`namespace_limit` 0 means that only the overall limit counts."""

    def __init__(self, limit: int, namespace_limit: int = 0) -> None:
        self._limit = limit
        self._namespace_limit = namespace_limit or limit
        self._namespaces: dict[str, _Namespace] = {}
        self._waiting: dict[Key, Rank] = {}
        self._holding: set[Key] = set()

    def __len__(self) -> int:
        """How many jobs wait."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """How many jobs hold a slot."""
        return len(self._holding)

    def holds(self, key: Key) -> bool:
        return key in self._holding

    def offer(self, key: Key, place: Rank) -> None:
        """Puts the job into the queue, unless it is in it or holds a slot already."""
        if key in self._holding or self._waiting.get(key) == place:
            return
        self._waiting[key] = place
        heapq.heappush(self._namespace(key).heap, (place, key))

    def hold(self, key: Key) -> None:
        """Gives a slot to a job that runs already, even beyond the limit."""
        if key not in self._holding:
            self._waiting.pop(key, None)
            self._holding.add(key)
            self._namespace(key).running += 1

    def withdraw(self, key: Key) -> None:
        """Takes the job out of the queue, and its slot away."""
        self._waiting.pop(key, None)
        if key in self._holding:
            self._holding.discard(key)
            self._namespace(key).running -= 1

    def admit(self) -> list[Key]:
        """Gives the free slots to the jobs that are next, and returns those jobs."""
        admitted = []
        while len(self._holding) < self._limit and (key := self._next()) is not None:
            self.hold(key)
            admitted.append(key)
        return admitted

    def in_order(self) -> Iterator[Key]:
        """All waiting jobs, the next one first. A job's position is its place here, counted from 1."""
        return (key for _, key in sorted((place, key) for key, place in self._waiting.items()))

    def _next(self) -> Key | None:
        heads = [head for space in self._namespaces.values() if (head := self._head(space)) is not None]
        return min(heads)[1] if heads else None

    def _head(self, space: _Namespace) -> tuple[Rank, Key] | None:
        if space.running >= self._namespace_limit:
            return None
        while space.heap:
            place, key = space.heap[0]
            if self._waiting.get(key) == place:
                return place, key
            heapq.heappop(space.heap)
        return None

    def _namespace(self, key: Key) -> _Namespace:
        return self._namespaces.setdefault(key[0], _Namespace())
