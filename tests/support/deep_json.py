"""JSON that is nested as deeply as a Kubernetes API server stores it, which no parser of Python's reads."""

import uuid
from typing import Any

import orjson

from dspy_service_core.kube.protocol import Object
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS
from dspy_service_local.apiserver import Cluster
from dspy_service_local.apiserver.objects.objects import facets
from dspy_service_local.apiserver.storage.rows import Key

DEPTHS = (300, 1_100, 9_000)
"""Above what orjson writes, above what Python's parser and orjson read, and next to what Go reads."""
_PLACE = "the deep value"


def nested(depth: int) -> bytes:
    """Lists and objects by turns."""
    return b'[{"a":' * (depth // 2) + b"1" + b"}]" * (depth // 2)


def deep_spec(raw: Object, depth: int) -> bytes:
    """The resource with `module.kwargs.x` of that depth."""
    spec = {**raw["spec"], "module": {"name": "cot", "kwargs": {"x": _PLACE}}}
    return orjson.dumps({**raw, "spec": spec}).replace(orjson.dumps(_PLACE), nested(depth))


async def store_deep(cluster: Cluster, raw: Object, depth: int) -> None:
    """Past the admission, as a real API server's: the embedded one takes no such thing."""
    storage, kind = cluster.operations.storage, cluster.kinds.of(OPTIMIZATION_JOBS)
    assert kind is not None
    metadata: dict[str, Any] = {**raw["metadata"], "uid": str(uuid.uuid4())}
    metadata["resourceVersion"] = str(storage.next_revision())
    whole = {**raw, "metadata": metadata}
    key = Key(kind.id, metadata["namespace"], metadata["name"])
    storage.insert(key, metadata["uid"], deep_spec(whole, depth), facets(kind, whole), [])
    await storage.committed()
