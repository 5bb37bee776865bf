"""The window and the watchers' queues."""

import asyncio

import pytest

from dspy_service_core.kube.errors import Expired
from dspy_service_local.apiserver.storage import watch
from dspy_service_local.apiserver.storage.rows import Change, Key
from dspy_service_local.apiserver.storage.selectors import Facets, Selection
from dspy_service_local.apiserver.storage.watch import Hub

_ALL = Selection()


def _change(revision: int, name: str = "a", *, size: int = 10, type_: str = "ADDED") -> Change:
    body = b'{"metadata":{"resourceVersion":"%d"},"x":"%b"}' % (revision, b"x" * size)
    return Change(type_, Key("things", "n", name), revision, body, Facets({}, {}), None)


async def test_a_watcher_gets_the_past_and_then_the_present() -> None:
    hub = Hub()
    hub.start_at(5)
    hub.publish([_change(6), _change(7)])
    subscription = hub.subscribe("things", _ALL, 6)
    hub.publish([_change(8)])
    assert [told.revision for told in await subscription.next(1) or ()] == [7, 8]


async def test_silence_is_an_empty_answer_and_the_bookmark_moves_on() -> None:
    hub = Hub()
    hub.start_at(5)
    subscription = hub.subscribe("things", _ALL, 5)
    hub.publish([Change("ADDED", Key("others", "n", "a"), 9, b"{}", Facets({}, {}), None)])
    assert await subscription.next(0.01) == []
    assert subscription.bookmark() == 9


async def test_before_the_window_all_is_expired() -> None:
    hub = Hub()
    hub.start_at(5)
    with pytest.raises(Expired):
        hub.subscribe("things", _ALL, 4)


async def test_the_window_forgets_by_size() -> None:
    hub = Hub()
    hub.start_at(1)
    large = watch._WINDOW_BYTES // 4
    hub.publish([_change(revision, size=large) for revision in range(2, 12)])
    assert hub.floor >= 8
    with pytest.raises(Expired):
        hub.undo("things", 3)


async def test_a_watcher_that_does_not_read_is_cut_off_and_frees_nobody_elses_events() -> None:
    hub = Hub()
    hub.start_at(1)
    lagging = hub.subscribe("things", _ALL, 1)
    large = watch._QUEUE_BYTES // 3
    hub.publish([_change(revision, size=large) for revision in range(2, 6)])
    assert len(await lagging.next(1) or ()) == 3
    assert await lagging.next(1) is None


async def test_a_closed_watcher_wakes_up_and_is_forgotten() -> None:
    hub = Hub()
    hub.start_at(1)
    subscription = hub.subscribe("things", _ALL, 1)
    waiting = asyncio.ensure_future(subscription.next(60))
    await asyncio.sleep(0)
    hub.close()
    assert await waiting is None
    subscription.close()
    hub.publish([_change(2)])
    assert await subscription.next(60) is None
