"""Finds leftovers and removes them: expired records, and folders of the store and Secrets without a job.

It stands in for finalizers, which would make a namespace hang once the operator is uninstalled. Something is removed
only after it has been without a job for some time, because a submit writes its payload before its resource.
"""

import json
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from dspy_service_core.errors import StoreError
from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.errors import Conflict, Forbidden, NotFound
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS, SECRETS
from dspy_service_core.resource import names
from dspy_service_core.resource.conditions import parse_time, timestamp
from dspy_service_core.storage.store import NotFound as NotStored, Store, artifact_folder, job_folder
from dspy_service_operator.housekeeping.expiry import Expiry
from dspy_service_operator.settings import OperatorSettings
from dspy_service_operator.watch.resync import OURS, pages

log = logging.getLogger(__name__)

ORPHANED = "orphaned.json"
"""File beside an artifact whose record is gone; it says since when, and outlives a restart of the operator."""
_PAGE = 100


class Sweep:
    """`store` is None where the operator cannot reach it."""

    def __init__(
        self,
        client: KubeClient,
        store: Store | None,
        expiry: Expiry,
        settings: OperatorSettings,
        clock: Callable[[], datetime],
    ) -> None:
        self._client = client
        self._store = store
        self._expiry = expiry
        self._settings = settings
        self._clock = clock
        self._suspects: dict[str, datetime] = {}

    async def run_once(self, namespaces: tuple[str | None, ...]) -> None:
        for namespace in namespaces:
            await self._sweep(namespace)

    async def _sweep(self, namespace: str | None) -> None:
        folders = await self._folders(namespace)  # before the records, so that a job made meanwhile is no orphan
        secrets = await self._secrets(namespace)
        jobs: set[tuple[str, str]] = set()
        kept: set[tuple[str, str]] = set()
        async for page, _ in pages(self._client, OPTIMIZATION_JOBS, namespace, "", _PAGE):
            for raw in page:
                metadata = raw["metadata"]
                jobs.add((metadata["namespace"], metadata["name"]))
                kept.add((metadata["namespace"], names.store_id(metadata)))
                self._expiry.watch(raw)
        for place, name, uid in secrets:
            if (place, name[1]) not in jobs and self._old_enough(f"secret/{uid}"):
                await self._remove_secret(place, name[0], uid)
        for kind, place, store_id in folders:
            if (place, store_id) not in kept:
                await self._sweep_folder(kind, place, store_id)

    async def _folders(self, namespace: str | None) -> list[tuple[str, str, str]]:
        """(kind, namespace, store id) of every folder."""
        if self._store is None:
            return []
        places = [namespace] if namespace else await self._store.folders_async()
        return [
            (kind, place, store_id)
            for place in places
            for kind in ("jobs", "artifacts")
            for store_id in await self._store.folders_async(f"{place}/{kind}")
        ]

    async def _secrets(self, namespace: str | None) -> list[tuple[str, tuple[str, str], str]]:
        """(namespace, (name, its job), uid) of the Secrets that were made for a job."""
        found = []
        try:
            async for page, _ in pages(self._client, SECRETS, namespace, OURS, _PAGE):
                for metadata in (raw["metadata"] for raw in page):
                    owner = metadata["labels"][names.LABEL_JOB]
                    found.append((metadata["namespace"], (metadata["name"], owner), metadata["uid"]))
        except Forbidden:
            log.debug("Secrets may not be listed here: those without a job are left to their owner references")
        return found

    def _old_enough(self, what: str) -> bool:
        since = self._suspects.setdefault(what, self._clock())
        return self._clock() - since >= timedelta(seconds=self._settings.sweep_safety_seconds)

    async def _remove_secret(self, namespace: str, name: str, uid: str) -> None:
        self._suspects.pop(f"secret/{uid}", None)
        try:
            await self._client.delete(SECRETS, name, namespace, uid=uid)
        except (NotFound, Conflict):
            return

    async def _sweep_folder(self, kind: str, namespace: str, store_id: str) -> None:
        folder = (job_folder if kind == "jobs" else artifact_folder)(namespace, store_id)
        if not self._old_enough(folder):
            return
        try:
            if kind == "artifacts" and not await self._outlived(folder):
                return
            assert self._store is not None  # it named the folder
            await self._store.delete_folder_async(folder)
            self._suspects.pop(folder, None)
        except StoreError as exc:
            log.warning("sweep: %s", exc)

    async def _outlived(self, folder: str) -> bool:
        """Whether the artifact has been without its record for its retention."""
        assert self._store is not None
        marker = f"{folder}/{ORPHANED}"
        try:
            since = parse_time(json.loads(await self._store.get_async(marker)).get("since"))
        except (NotStored, ValueError):
            since = None
        if since is None:
            since = self._clock()
            await self._store.put_async(marker, json.dumps({"since": timestamp(since)}).encode())
        return self._clock() - since >= timedelta(seconds=self._settings.artifact_retention_seconds)
