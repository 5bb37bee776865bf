"""What a pod needs before its containers can run: a folder, volumes, environments, and how each is to be started."""

import math
import re
from pathlib import Path

from dspy_service_core.resource import names
from dspy_service_local.node.pods.containers import ContainerRun
from dspy_service_local.node.pods.content.environment import References, expand, resolve
from dspy_service_local.node.pods.content.remove import remove_tree
from dspy_service_local.node.pods.content.volumes import Volumes
from dspy_service_local.node.pods.context import NodeContext
from dspy_service_local.node.pods.model import Container, Object, Pod, Volume
from dspy_service_local.node.processes.launch import Bind, Launch, ProcessLimits

_STARTED = "started"
_ENDPOINT = re.compile(r"[^,/@]+:[0-9]{1,5}")
_BEYOND_LIMIT = 1024 * 1024
"""A file may grow a little over its volume's limit: only then is the pod seen to be over it, and evicted."""


class PodSetup:
    """`launches` remembers how each container was started."""

    def __init__(self, pod: Pod, context: NodeContext) -> None:
        self.pod = pod
        self.limits = context.limits
        self.launches: dict[str, Launch] = {}
        self._context = context
        self._folder = context.folders.pod(pod.uid)
        self.volumes = Volumes(pod, self._folder, context.folders.claims, context.tokens, context.launcher.owner)

    async def prepare(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        await self.volumes.prepare(References(self._context.client, self.pod.namespace))

    def mark_started(self) -> None:
        """From now on the volumes may hold the pod's work: a node that finds this mark drains it and starts nothing."""
        (self._folder / _STARTED).touch()

    async def start(self, run: ContainerRun) -> None:
        references = References(self._context.client, self.pod.namespace)
        env = await resolve(self.pod, run.spec, references, self._context.base_env)
        launch = self._launch(run.spec, env)
        self.launches[run.spec.name] = launch
        await run.start(self._context.launcher, launch)

    async def release(self) -> None:
        """The pod has ended: its volumes and its token go, its logs stay until its object goes."""
        self._context.tokens.revoke(self.pod.uid)
        await remove_tree(self._folder / "volumes")

    def _launch(self, spec: Container, env: dict[str, str]) -> Launch:
        return Launch(
            command=tuple(expand(part, env) for part in (*spec.command, *spec.args)),
            env=env,
            working_dir=spec.working_dir,
            binds=tuple(Bind(self.volumes.source(m, env), m.path, m.read_only) for m in spec.mounts),
            limits=self._limits(spec),
            endpoints=None if self._asks_the_cluster(spec) else named_endpoints(self.pod.metadata),
        )

    def _asks_the_cluster(self, spec: Container) -> bool:
        """Who has a token of the pod needs the API server, which listens on this machine alone."""
        sources = [s for m in spec.mounts if m.volume in self.pod.volumes for s in _sources(self.pod.volumes[m.volume])]
        return any("serviceAccountToken" in source for source in sources)

    def _limits(self, spec: Container) -> ProcessLimits:
        return ProcessLimits(
            processes=self.limits.most_processes,
            open_files=self.limits.open_files,
            nice=self.limits.nice,
            file_size=self._file_size(spec),
            cpus=math.ceil(spec.cpu_limit) if spec.cpu_limit else None,
        )

    def _file_size(self, spec: Container) -> int | None:
        """The largest limit of the volumes that it may write to; none when one of them has no limit."""
        writable = [self.pod.volumes[m.volume].size_limit for m in spec.mounts if not m.read_only]
        sizes = [size for size in writable if size is not None]
        return max(sizes) + _BEYOND_LIMIT if sizes and len(sizes) == len(writable) else None


def named_endpoints(metadata: Object) -> tuple[str, ...]:
    """`host:port` each, as whoever made the pod wrote them down."""
    written = str((metadata.get("annotations") or {}).get(names.ANNOTATION_ENDPOINTS, ""))
    return tuple(entry for entry in written.split(",") if _ENDPOINT.fullmatch(entry))


def _sources(volume: Volume) -> list[Object]:
    return volume.source.get("sources") or [] if volume.kind == "projected" else []


def was_started(pod_folder: Path) -> bool:
    return (pod_folder / _STARTED).exists()
