"""What a waiting process must know before its job: which pods it fits. Pure.

A slot is made for a shape and a pod fits when its own shape is the same. The pool starts from the shape that the
operator's runner pods have, and follows when they come to look different.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from dspy_service_local.node.model import Container, Pod

WARM_COMMANDS: Mapping[str, str] = {
    "dspy-service-optimizer": "dspy_service_runner.optimizer.main:main",
    "dspy-service-reporter": "dspy_service_runner.reporter.main:main",
}
"""Commands whose modules take long to import, and where they begin."""

_IMPORT_VARIABLES = ("HOME", "DSPY_CACHEDIR", "LITELLM_LOCAL_MODEL_COST_MAP")
"""Read while modules are imported: set from the start. All others come with the job."""


@dataclass(frozen=True, slots=True)
class WarmMount:
    volume: str
    path: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class WarmContainer:
    """`claims` are mounted late: their folders depend on the job."""

    name: str
    command: str
    mounts: tuple[WarmMount, ...]
    claims: tuple[str, ...]
    env: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Shape:
    namespace: str
    containers: tuple[WarmContainer, ...]


def shape_of(pod: Pod, commands: Collection[str] = WARM_COMMANDS) -> Shape | None:
    """None when no container of the pod could be served by a waiting process."""
    containers = tuple(c for c in (_warm(pod, spec, commands) for spec in pod.containers) if c)
    return Shape(pod.namespace, containers) if containers else None


def default_shape(namespace: str, claim: str) -> Shape:
    """The operator's runner pod of a job without ConfigMap references."""
    mine = (WarmMount("in", "/job/in", False), WarmMount("out", "/job/out", True))
    token = WarmMount("token", "/var/run/secrets/kubernetes.io/serviceaccount", True)
    theirs = (WarmMount("in", "/job/in", True), WarmMount("out", "/job/out", False), WarmMount("tmp", "/tmp", False))
    env = (("DSPY_CACHEDIR", "/tmp/dspy"), ("HOME", "/tmp"), ("LITELLM_LOCAL_MODEL_COST_MAP", "True"))
    reporter = WarmContainer("reporter", "dspy-service-reporter", (*mine, token), (claim,), ())
    optimizer = WarmContainer("optimizer", "dspy-service-optimizer", theirs, (), env)
    return Shape(namespace, (reporter, optimizer))


def _warm(pod: Pod, spec: Container, commands: Collection[str]) -> WarmContainer | None:
    if len(spec.command) != 1 or spec.command[0] not in commands or spec.working_dir != "/":
        return None
    mounts, claims = [], set()
    for mount in spec.mounts:
        volume = pod.volumes.get(mount.volume)
        if volume is None:
            return None
        if volume.kind == "persistentVolumeClaim":
            claims.add(str(volume.source["claimName"]))
        elif mount.sub_path or mount.sub_path_expr:
            return None
        else:
            mounts.append(WarmMount(mount.volume, mount.path, mount.read_only))
    ordered = tuple(sorted(mounts, key=lambda m: m.path))
    return WarmContainer(spec.name, spec.command[0], ordered, tuple(sorted(claims)), _import_env(spec))


def _import_env(spec: Container) -> tuple[tuple[str, str], ...]:
    plain = {e["name"]: e.get("value") or "" for e in spec.env if "valueFrom" not in e}
    return tuple((name, plain[name]) for name in sorted(_IMPORT_VARIABLES) if name in plain and "$" not in plain[name])
