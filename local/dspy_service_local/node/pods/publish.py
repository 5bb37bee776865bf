"""Writes a pod's status whenever it changed: the newest one, not each one."""

import asyncio
import logging
from collections.abc import Callable

from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.errors import KubeError, NotFound
from dspy_service_core.kube.resources import PODS
from dspy_service_local.node.pods.model import Object, Pod

log = logging.getLogger(__name__)

_GATHER_SECONDS = 0.005
"""Changes come in bursts (two containers start): one write serves them all."""
_RETRY_SECONDS = 0.5


class Publisher:
    def __init__(self, client: KubeClient, pod: Pod, status: Callable[[], Object]) -> None:
        self._client = client
        self._pod = pod
        self._status = status
        self._dirty = asyncio.Event()

    def changed(self) -> None:
        self._dirty.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._dirty.wait()
            await asyncio.sleep(_GATHER_SECONDS)
            self._dirty.clear()
            if not await self._write():
                self._dirty.set()
                await asyncio.sleep(_RETRY_SECONDS)

    async def publish_last(self) -> None:
        """However long that takes: nobody would learn of the pod's end from anyone else."""
        while True:
            if await self._write():
                return
            await asyncio.sleep(_RETRY_SECONDS)

    async def _write(self) -> bool:
        pod = self._pod
        try:
            await self._client.patch(PODS, pod.name, {"status": self._status()}, pod.namespace, subresource="status")
        except NotFound:
            return True
        except KubeError as exc:
            log.warning("status of pod %s/%s: %s", pod.namespace, pod.name, exc)
            return False
        except Exception:  # tried again like any other: a pod's course does not end with its report
            log.exception("status of pod %s/%s", pod.namespace, pod.name)
            return False
        return True
