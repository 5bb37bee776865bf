"""Lists everything and compares it with the view; the operator's whole state can be rebuilt from this.

kopf does not report what was deleted while its watches were down, and its watches hide errors. A resync after each of
its lists and every few minutes repairs both. The operator is ready after the first one.
"""

import logging
from collections.abc import AsyncIterator, Mapping, Set
from typing import Protocol

from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.protocol import Object
from dspy_service_core.kube.resources import JOBS, OPTIMIZATION_JOBS, PODS, Resource
from dspy_service_core.resource import names
from dspy_service_operator.queue.queue import Key
from dspy_service_operator.watch.view import ClusterView

log = logging.getLogger(__name__)

UNFINISHED = f"!{names.LABEL_FINISHED}"
OURS = f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY},{names.LABEL_JOB}"
SELECTORS: Mapping[Resource, str] = {JOBS: OURS, PODS: OURS, OPTIMIZATION_JOBS: UNFINISHED}
"""The label selector by which each kind is watched and listed."""
_PAGE = 250


class _Known(Protocol):
    """The part of the view that holds one kind."""

    def upsert(self, raw: Object) -> Key | None: ...
    def retain(self, listed: Set[str], until: int, namespace: str | None) -> set[Key]: ...


async def resync(client: KubeClient, view: ClusterView, namespaces: tuple[str | None, ...]) -> set[Key]:
    """The keys to reconcile: all unfinished jobs, and those whose Jobs or pods changed."""
    dirty: set[Key] = set()
    for namespace in namespaces:
        # Children first: a job whose attempt exists must not look as if it had none.
        dirty |= await _compare(client, view.jobs, JOBS, namespace)
        dirty |= await _compare(client, view.pods, PODS, namespace)
        dirty |= await _compare(client, view, OPTIMIZATION_JOBS, namespace)
    return dirty | set(view.known())


async def _compare(client: KubeClient, view: _Known, resource: Resource, namespace: str | None) -> set[Key]:
    listed: set[str] = set()
    dirty: set[Key] = set()
    first_version = 0
    async for page, version in pages(client, resource, namespace, SELECTORS[resource]):
        first_version = first_version or version
        listed.update(raw["metadata"]["uid"] for raw in page)
        dirty.update(key for raw in page if (key := _taken_in(view, raw)) is not None)
    return dirty | view.retain(listed, first_version, namespace)


def _taken_in(view: _Known, raw: Object) -> Key | None:
    """An unforeseen error in one object must not hide the others of the list."""
    try:
        return view.upsert(raw)
    except Exception:
        log.exception("%s cannot be taken in", raw["metadata"]["name"])
        return None


async def pages(
    client: KubeClient, resource: Resource, namespace: str | None, selector: str, size: int = _PAGE
) -> AsyncIterator[tuple[list[Object], int]]:
    token = ""
    while True:
        page = await client.list(resource, namespace, label_selector=selector, limit=size, continue_token=token)
        yield page.items, int(page.resource_version or 0)
        token = page.continue_token
        if not token:
            return
