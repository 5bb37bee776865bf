"""Puts one pod under the node's watch: what happens to it when it uses more than it may."""

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from dspy_service_local.node.pods.containers import ContainerRun
from dspy_service_local.node.pods.pod_setup import PodSetup
from dspy_service_local.node.usage import UsageWatch, WatchedContainer, WatchedVolume

log = logging.getLogger(__name__)


@contextmanager
def watched(
    usage: UsageWatch, setup: PodSetup, runs: Collection[ContainerRun], evict: Callable[[str], None]
) -> Iterator[None]:
    """A container over its memory is killed alone (OOMKilled); what else is too much ends the whole pod."""
    entries: list[WatchedContainer | WatchedVolume] = [_container(setup, run, evict) for run in runs]
    for volume in setup.pod.volumes.values():
        limit = volume.size_limit
        if limit is not None:
            said = volume.source["sizeLimit"]
            message = f'Usage of EmptyDir volume "{volume.name}" exceeds the limit "{said}". '
            entries.append(WatchedVolume(setup.volumes.folder(volume), limit, lambda m=message: evict(m)))  # type: ignore[misc]  # binds the loop's value
    for entry in entries:
        usage.add(entry)
    try:
        yield
    finally:
        usage.discard(entries)


def _container(setup: PodSetup, run: ContainerRun, evict: Callable[[str], None]) -> WatchedContainer:
    most = setup.limits.processes

    def too_many(count: int) -> None:
        run.kill("Error", f"the container had {count} processes, the limit is {most}")
        evict(f'Container {run.spec.name} had {count} processes, which exceeds the limit "{most}". ')

    def too_much_memory(used: int) -> None:
        log.info("container %s of pod %s is killed: it uses %d bytes", run.spec.name, setup.pod.name, used)
        run.kill("OOMKilled")

    return WatchedContainer(
        root=lambda: run.process.root if run.process else None,
        memory=run.spec.memory_limit,
        processes=most,
        out_of_memory=too_much_memory,
        too_many_processes=too_many,
    )
