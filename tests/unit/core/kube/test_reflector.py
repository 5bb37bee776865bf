"""The reflector against a scripted API server: what it shows is what there is, whatever the watch does."""

import asyncio
from collections.abc import AsyncGenerator

import orjson

from dspy_service_core.kube import errors
from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.protocol import KubeRequest, KubeResponse, Object, ObjectList, Transport, WatchEvent
from dspy_service_core.kube.reflector import Reflector
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS
from waiting import until


def obj(name: str, version: str) -> Object:
    return {"metadata": {"namespace": "n", "name": name, "resourceVersion": version}}


class Names:
    def __init__(self) -> None:
        self.objects: dict[str, str] = {}

    def upsert(self, obj: Object) -> None:
        self.objects[obj["metadata"]["name"]] = obj["metadata"]["resourceVersion"]

    def remove(self, obj: Object) -> None:
        self.objects.pop(obj["metadata"]["name"], None)

    def retain(self, keys: frozenset[tuple[str, str]]) -> None:
        self.objects = {name: version for name, version in self.objects.items() if ("n", name) in keys}


class Script(Transport):
    """Answers lists and watches in the order given, then hangs."""

    def __init__(self, lists: list[ObjectList], watches: list[list[WatchEvent | errors.KubeError]]) -> None:
        self.lists, self.watches = lists, watches
        self.versions: list[str] = []

    async def send(self, request: KubeRequest) -> KubeResponse:
        if request.verb == "list":
            page = self.lists.pop(0)
            metadata = {"resourceVersion": page.resource_version, "continue": page.continue_token}
            return KubeResponse(200, orjson.dumps({"metadata": metadata, "items": page.items}))
        self.versions.append(request.query["resourceVersion"])
        if not self.watches:
            await asyncio.Event().wait()
        return KubeResponse(200, _told(self.watches.pop(0)))


async def _told(events: list[WatchEvent | errors.KubeError]) -> AsyncGenerator[bytes, None]:
    """As a server does: too old a watch ends with an event of it, any other error is a broken connection."""
    for event in events:
        if isinstance(event, errors.Expired):
            yield orjson.dumps({"type": "ERROR", "object": {"code": event.code, "message": event.message}}) + b"\n"
        elif isinstance(event, errors.KubeError):
            raise event
        else:
            yield orjson.dumps({"type": event.type, "object": event.object}) + b"\n"


async def reflect(script: Script, names: Names | None = None) -> Names:
    names = names or Names()
    reflector = Reflector(KubeClient(script), OPTIMIZATION_JOBS, names)
    task = asyncio.create_task(reflector.run())

    async def scripted_to_the_end() -> bool:
        return not script.watches and not script.lists and reflector.synced.is_set()

    await until(scripted_to_the_end)
    await asyncio.sleep(0)
    task.cancel()
    return names


async def test_pages_then_events() -> None:
    script = Script(
        [ObjectList([obj("a", "1")], "", "more"), ObjectList([obj("b", "2")], "5")],
        [
            [
                WatchEvent("ADDED", obj("c", "6")),
                WatchEvent("DELETED", obj("a", "7")),
                WatchEvent("MODIFIED", obj("b", "8")),
            ]
        ],
    )
    assert (await reflect(script)).objects == {"b": "8", "c": "6"}
    assert script.versions[0] == "5"


async def test_what_vanished_while_nobody_watched_is_forgotten() -> None:
    script = Script(
        [ObjectList([obj("a", "1"), obj("b", "2")], "5"), ObjectList([obj("b", "9")], "10")],
        [[errors.Expired("too old")], []],
    )
    assert (await reflect(script)).objects == {"b": "9"}
    assert script.versions[:2] == ["5", "10"]


async def test_a_broken_watch_goes_on_where_it_was() -> None:
    bookmark = WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": "20"}})
    script = Script(
        [ObjectList([obj("a", "1")], "5")],
        [[WatchEvent("ADDED", obj("b", "6")), bookmark, errors.Unavailable("broken")], []],
    )
    assert (await reflect(script)).objects == {"a": "1", "b": "6"}
    assert script.versions[:2] == ["5", "20"]


class Picky(Names):
    """Cannot take in what is called `odd`, as a view with a defect."""

    def upsert(self, obj: Object) -> None:
        self._refuse(obj)
        super().upsert(obj)

    def remove(self, obj: Object) -> None:
        self._refuse(obj)
        super().remove(obj)

    def _refuse(self, obj: Object) -> None:
        if obj["metadata"]["name"] == "odd":
            raise RecursionError("a defect")


async def test_what_the_view_cannot_take_in_hides_no_other() -> None:
    events = [
        WatchEvent("MODIFIED", obj("odd", "6")),
        WatchEvent("DELETED", obj("odd", "7")),
        WatchEvent("ADDED", obj("b", "8")),
    ]
    script = Script([ObjectList([obj("odd", "1"), obj("a", "2")], "5")], [events, []])
    assert (await reflect(script, Picky())).objects == {"a": "2", "b": "8"}
    assert script.versions[:2] == ["5", "8"]
