"""A pod as the node understands it, read once from the object: behind this module nobody looks into `spec`.

Fields that have no meaning for local processes (images, affinities, security contexts) are left out: a container runs
as the user who started `up` (where that is root: as one made for it), from the environment that this package is in.
"""

from dataclasses import dataclass
from typing import Any

from dspy_service_local.node.quantities import parse_bytes, parse_quantity

Object = dict[str, Any]

DEFAULT_GRACE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Mount:
    volume: str
    path: str
    read_only: bool
    sub_path: str
    sub_path_expr: str = ""


@dataclass(frozen=True, slots=True)
class StartupProbe:
    """Only `exec` probes: nothing of ours listens on a port."""

    command: tuple[str, ...]
    initial_delay: float
    period: float
    timeout: float
    failures: int


@dataclass(frozen=True, slots=True)
class Container:
    name: str
    image: str
    command: tuple[str, ...]
    args: tuple[str, ...]
    env: tuple[Object, ...]
    env_from: tuple[Object, ...]
    mounts: tuple[Mount, ...]
    working_dir: str
    sidecar: bool
    memory_limit: int | None
    cpu_limit: float | None
    startup_probe: StartupProbe | None


@dataclass(frozen=True, slots=True)
class Volume:
    """`kind` is the source's field name (emptyDir, secret, ...), `source` its content."""

    name: str
    kind: str
    source: Object

    @property
    def size_limit(self) -> int | None:
        limit = self.source.get("sizeLimit") if self.kind == "emptyDir" else None
        return parse_bytes(limit) if limit else None


@dataclass(frozen=True, slots=True)
class Pod:
    uid: str
    name: str
    namespace: str
    metadata: Object
    service_account: str
    init: tuple[Container, ...]
    main: tuple[Container, ...]
    volumes: dict[str, Volume]
    grace: float
    deadline: float | None

    @property
    def containers(self) -> tuple[Container, ...]:
        return self.init + self.main


def read_pod(obj: Object) -> Pod:
    metadata, spec = obj["metadata"], obj["spec"]
    grace = spec.get("terminationGracePeriodSeconds")
    return Pod(
        uid=metadata["uid"],
        name=metadata["name"],
        namespace=metadata["namespace"],
        metadata=metadata,
        service_account=spec.get("serviceAccountName") or "default",
        init=tuple(_container(c) for c in spec.get("initContainers") or ()),
        main=tuple(_container(c) for c in spec["containers"]),
        volumes={v["name"]: _volume(v) for v in spec.get("volumes") or ()},
        grace=DEFAULT_GRACE_SECONDS if grace is None else float(grace),
        deadline=spec.get("activeDeadlineSeconds"),
    )


def _container(raw: Object) -> Container:
    limits = (raw.get("resources") or {}).get("limits") or {}
    return Container(
        name=raw["name"],
        image=raw.get("image", ""),
        command=tuple(raw.get("command") or ()),
        args=tuple(raw.get("args") or ()),
        env=tuple(raw.get("env") or ()),
        env_from=tuple(raw.get("envFrom") or ()),
        mounts=tuple(_mount(m) for m in raw.get("volumeMounts") or ()),
        working_dir=raw.get("workingDir") or "/",
        sidecar=raw.get("restartPolicy") == "Always",
        memory_limit=parse_bytes(limits["memory"]) if limits.get("memory") else None,
        cpu_limit=float(parse_quantity(limits["cpu"])) if limits.get("cpu") else None,
        startup_probe=_probe(raw.get("startupProbe")),
    )


def _mount(raw: Object) -> Mount:
    return Mount(
        volume=raw["name"],
        path=raw["mountPath"].rstrip("/") or "/",
        read_only=bool(raw.get("readOnly")),
        sub_path=raw.get("subPath") or "",
        sub_path_expr=raw.get("subPathExpr") or "",
    )


def _volume(raw: Object) -> Volume:
    kind = next((key for key in raw if key != "name"), "emptyDir")
    return Volume(raw["name"], kind, raw.get(kind) or {})


def _probe(raw: Object | None) -> StartupProbe | None:
    command = ((raw or {}).get("exec") or {}).get("command")
    if not raw or not command:
        return None
    return StartupProbe(
        command=tuple(command),
        initial_delay=float(raw.get("initialDelaySeconds") or 0),
        period=float(raw.get("periodSeconds") or 10),
        timeout=float(raw.get("timeoutSeconds") or 1),
        failures=int(raw.get("failureThreshold") or 3),
    )
