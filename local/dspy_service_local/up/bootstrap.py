"""What the embedded cluster must hold before the service starts: our CRD, an account, the claim, the service's keys."""

import base64
from collections.abc import Mapping
from pathlib import Path

import yaml

from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.protocol import Object
from dspy_service_core.kube.resources import (
    CUSTOM_RESOURCE_DEFINITIONS,
    PERSISTENT_VOLUME_CLAIMS,
    SECRETS,
    SERVICE_ACCOUNTS,
    Resource,
)
from dspy_service_core.resource import names

NAMESPACE = "default"
_MANAGER = "dspy-service-up"


def definitions_folder() -> Path:
    """Packaged beside this module, or the checkout's own."""
    packaged = Path(__file__).parents[1] / "crds"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "crds"


async def prepare_cluster(client: KubeClient, keys: Mapping[str, str]) -> None:
    for file in sorted(definitions_folder().glob("*.yaml")):
        await _apply(client, CUSTOM_RESOURCE_DEFINITIONS, yaml.load(file.read_bytes(), _LOADER))
    await _apply(client, SERVICE_ACCOUNTS, _object("v1", "ServiceAccount", names.RUNNER_SERVICE_ACCOUNT))
    await _apply(client, PERSISTENT_VOLUME_CLAIMS, _claim())
    await _apply(client, SECRETS, _keys_secret(keys))


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _object(version: str, kind: str, name: str) -> Object:
    labels = {names.LABEL_MANAGED_BY: names.MANAGED_BY}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels}}


def _claim() -> Object:
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    return _object("v1", "PersistentVolumeClaim", names.STORE_CLAIM) | {"spec": spec}


def _keys_secret(keys: Mapping[str, str]) -> Object:
    """Applied with the keys of this start: one that is no longer in the environment goes."""
    secret = _object("v1", "Secret", names.SERVICE_KEYS_SECRET)
    return secret | {"data": {name: base64.b64encode(value.encode()).decode() for name, value in keys.items()}}


async def _apply(client: KubeClient, resource: Resource, obj: Object) -> None:
    namespace = NAMESPACE if resource.namespaced else None
    await client.patch(
        resource, obj["metadata"]["name"], obj, namespace, patch_type="apply", field_manager=_MANAGER, force=True
    )
