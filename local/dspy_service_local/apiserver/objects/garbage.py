"""The background's loop: sees every change that watches see, notes what needs `cleanup`, and does it in batches.

A restart looks once at everything that a kill may have left undone.
"""

import asyncio
import logging

import orjson

from dspy_service_core.kube import errors
from dspy_service_core.kube.resources import CUSTOM_RESOURCE_DEFINITIONS, NAMESPACES
from dspy_service_local.apiserver.objects.cleanup import Cleanup
from dspy_service_local.apiserver.refusals import qualified
from dspy_service_local.apiserver.storage.rows import Change, Key
from dspy_service_local.apiserver.storage.selectors import Selection
from dspy_service_local.apiserver.storage.storage import Storage
from dspy_service_local.apiserver.storage.watch import Hub

log = logging.getLogger(__name__)

_EXPIRY_SECONDS = 60.0
_AGAIN_SECONDS = 2.0
_BATCH = 20
"""Steps between two turns of the event loop."""
_DEFINITIONS = qualified(CUSTOM_RESOURCE_DEFINITIONS)


class Garbage:
    """`pending` holds uids of objects that are gone, and keys of objects to be looked at."""

    def __init__(self, storage: Storage, hub: Hub, cleanup: Cleanup) -> None:
        self._storage = storage
        self._cleanup = cleanup
        self._pending: dict[Key | str, None] = {}
        self._wake = asyncio.Event()
        hub.listen(self._notice)

    async def run(self) -> None:
        self._look_at_everything()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._expire())

    async def _follow(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._pending:
                for item in list(self._pending)[:_BATCH]:
                    del self._pending[item]
                    self._step(item)
                await self._storage.committed()
                await asyncio.sleep(0)

    async def _expire(self) -> None:
        while True:
            position: tuple[str, str] | None = ("", "")
            while position is not None:
                position = self._cleanup.expire_events(position)
                await asyncio.sleep(0)
            await asyncio.sleep(_EXPIRY_SECONDS)

    def _step(self, item: Key | str) -> None:
        try:
            if isinstance(item, Key):
                if self._cleanup.finish(item):
                    self._later(item)
            else:
                self._cleanup.collect(item)
        except errors.KubeError as exc:
            log.warning("cleaning up after %s: %s", item, exc)
        except Exception:  # of this one: the others are not to wait for it
            log.exception("cleaning up after %s; again in %g s", item, _AGAIN_SECONDS)
            asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self._later, item)

    def _notice(self, change: Change) -> None:
        """Cheap, because it sees everything: it looks for words in bodies before it parses them."""
        if change.type == "DELETED":
            self._later(*self._ended(change))
        elif change.key.kind == "namespaces" or b'"deletionTimestamp"' in change.body:
            self._later(change.key)
        elif change.type == "ADDED" and b'"ownerReferences"' in change.body:
            self._later(*(uid for uid in _owners(change.body) if not self._storage.exists(uid)))

    def _ended(self, change: Change) -> list[Key | str]:
        """Its dependents are to be collected; its namespace, definition or owners may have waited for its end."""
        waiting = [Key(_DEFINITIONS, "", change.key.kind)]
        if change.key.namespace:
            waiting.append(Key("namespaces", "", change.key.namespace))
        owners = [key for uid in _owners(change.body) if (key := self._storage.key_of(uid)) is not None]
        return [str(orjson.loads(change.body)["metadata"]["uid"]), *waiting, *owners]

    def _later(self, *items: Key | str) -> None:
        self._pending.update(dict.fromkeys(items))
        if items:
            self._wake.set()

    def _look_at_everything(self) -> None:
        self._later(*self._storage.lost_owners(), *self._storage.deleting())
        rows = self._storage.reader().page(qualified(NAMESPACES), Selection(), ("", ""), -1)
        self._later(*(row.key for row in rows))


def _owners(body: bytes) -> list[str]:
    if b'"ownerReferences"' not in body:
        return []
    return [str(owner["uid"]) for owner in orjson.loads(body)["metadata"].get("ownerReferences") or ()]
