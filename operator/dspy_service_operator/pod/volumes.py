"""The volumes of a runner's pod, which of its two containers mounts which, and the paths that they are told.

Every path that a container needs is an argument or a variable that equals or begins with a mountPath, so that a node
without a sandbox can replace it by a real folder.
"""

from typing import Any

from dspy_service_core.resource import names
from dspy_service_core.resource.job import OptimizationJob
from dspy_service_core.resource.sources import DATASET_MOUNTED, ConfigMapKey
from dspy_service_core.storage.store import artifact_folder, job_folder
from dspy_service_operator.settings import OperatorSettings

Json = dict[str, Any]

IN, OUT, REFS, TMP, STORE = "/job/in", "/job/out", "/job/refs", "/tmp", "/store"
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"
_TOKEN_SECONDS = 3607
"""The lifetime of the kubelet's own projected tokens: an hour and seven seconds, which marks them as such."""
_CA = "/etc/dspy-service/ca"
_CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
"""The first is read by OpenSSL and rustls (httpx, LiteLLM, dspy's own client, obstore), the second by requests."""


def reporter_mounts(job: OptimizationJob, settings: OperatorSettings) -> list[Json]:
    return [
        {"name": "in", "mountPath": IN},
        {"name": "out", "mountPath": OUT, "readOnly": True},
        {"name": "token", "mountPath": TOKEN, "readOnly": True},
        *([{"name": "refs", "mountPath": REFS, "readOnly": True}] if _references(job) else []),
        *([{"name": "ca", "mountPath": _CA, "readOnly": True}] if settings.ca_config_map else []),
        *(_store_mounts(job) if has_claim(settings) else []),
    ]


def optimizer_mounts(settings: OperatorSettings) -> list[Json]:
    return [
        {"name": "in", "mountPath": IN, "readOnly": True},
        {"name": "out", "mountPath": OUT},
        {"name": "tmp", "mountPath": TMP},
        *([{"name": "ca", "mountPath": _CA, "readOnly": True}] if settings.ca_config_map else []),
    ]


def ca_environment(settings: OperatorSettings) -> list[Json]:
    bundle = f"{_CA}/{settings.ca_key}"
    return [{"name": name, "value": bundle} for name in _CA_VARIABLES] if settings.ca_config_map else []


def volumes(job: OptimizationJob, settings: OperatorSettings) -> list[Json]:
    wanted: list[Json] = [
        {"name": "in", "emptyDir": {}},
        {"name": "out", "emptyDir": {"sizeLimit": settings.out_size_limit}},
        {"name": "tmp", "emptyDir": {"sizeLimit": settings.tmp_size_limit}},
        {"name": "token", "projected": {"sources": _token_sources()}},
    ]
    if references := _references(job):
        wanted.append({"name": "refs", "projected": {"sources": [_projection(*entry) for entry in references]}})
    if settings.ca_config_map:
        wanted.append(_config_map("ca", settings.ca_config_map))
    if has_claim(settings):
        wanted.append({"name": "store", "persistentVolumeClaim": {"claimName": settings.store_claim}})
    return wanted


def _token_sources() -> list[Json]:
    return [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": _TOKEN_SECONDS}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]


def _references(job: OptimizationJob) -> list[tuple[str, ConfigMapKey]]:
    """Each ConfigMap key that the spec refers to, with its path below `REFS`."""
    found = [(source.mounted, source.config_map_key) for source in job.spec.sources() if source.config_map_key]
    rows = job.spec.dataset.config_map_key
    return [*found, *([(DATASET_MOUNTED, rows)] if rows else [])]


def _projection(path: str, ref: ConfigMapKey) -> Json:
    return {"configMap": {"name": ref.name, "items": [{"key": ref.key, "path": path}]}}


def _config_map(volume: str, name: str) -> Json:
    return {"name": volume, "configMap": {"name": name}}


def _store_mounts(job: OptimizationJob) -> list[Json]:
    """Only the job's own folders, each at the path that the reporter is told."""
    folders = (folder(job.metadata.namespace, store_id(job)) for folder in (job_folder, artifact_folder))
    return [{"name": "store", "mountPath": f"{STORE}/{path}", "subPath": path} for path in folders]


def has_claim(settings: OperatorSettings) -> bool:
    return not settings.store_url or settings.store_url.startswith("file:")


def store_id(job: OptimizationJob) -> str:
    return names.store_id({"name": job.metadata.name, "uid": job.metadata.uid})
