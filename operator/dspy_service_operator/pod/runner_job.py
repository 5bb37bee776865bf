"""Builds the batch/v1 Job of one attempt from the resource.

It has two containers that exchange nothing but files. `reporter`, a native sidecar, holds the Kubernetes token and the
store; `optimizer` runs the user's code and holds neither. What lies where is in `volumes`.
"""

from typing import Any

from dspy_service_core.resource import names
from dspy_service_core.resource.job import OptimizationJob
from dspy_service_core.resource.spec.run import Quantities, Resources
from dspy_service_core.resource.targets import Targets
from dspy_service_core.storage.store import artifact_folder, job_folder
from dspy_service_operator.decide.observed import OPTIMIZER, REPORTER
from dspy_service_operator.pod import volumes
from dspy_service_operator.pod.model_keys import key_environment, model_endpoints
from dspy_service_operator.settings import OperatorSettings

Json = dict[str, Any]


def build_job(
    job: OptimizationJob, number: int, deadline_seconds: int, targets: Targets, settings: OperatorSettings
) -> Json:
    meta = job.metadata
    labels = names.child_labels(meta.name, number)
    queue = job.spec.run.queue or settings.queue_name
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": names.attempt_job(meta.name, number),
            "namespace": meta.namespace,
            "labels": labels | ({"kueue.x-k8s.io/queue-name": queue} if queue else {}),
            "ownerReferences": [owner_reference(job)],
        },
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "activeDeadlineSeconds": deadline_seconds,
            "ttlSecondsAfterFinished": settings.job_ttl_seconds,
            "template": {
                "metadata": {"labels": settings.runner_labels | labels} | _annotations(job),
                "spec": _pod(job, number, targets, settings),
            },
        },
    }


def _annotations(job: OptimizationJob) -> Json:
    """Tells the node which endpoints the job's models have: in the embedded cluster, a job reaches only these and the
    internet."""
    endpoints = (endpoint for _, _, model in job.spec.all_models() for endpoint in model_endpoints(model))
    found = {f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in endpoints}
    return {"annotations": {names.ANNOTATION_ENDPOINTS: ",".join(sorted(found))}} if found else {}


def owner_reference(job: OptimizationJob) -> Json:
    """The cluster deletes the Job together with the resource. Without blockOwnerDeletion, since that would need the
    right to set finalizers."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "name": job.metadata.name,
        "uid": job.metadata.uid,
        "controller": True,
    }


def _pod(job: OptimizationJob, number: int, targets: Targets, settings: OperatorSettings) -> Json:
    user = settings.runner_user
    return {
        "restartPolicy": "Never",
        "serviceAccountName": settings.runner_service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": settings.runner_grace_seconds,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": user,
            "runAsGroup": user,
            "fsGroup": user,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": [_reporter(job, number, targets, settings)],
        "containers": [_optimizer(job, settings)],
        "volumes": volumes.volumes(job, settings),
        **_placement(settings),
    }


def _reporter(job: OptimizationJob, number: int, targets: Targets, settings: OperatorSettings) -> Json:
    """Always the service's own image, because this container holds the Kubernetes token."""
    meta = job.metadata
    store_id = volumes.store_id(job)
    base = f"file://{volumes.STORE}" if volumes.has_claim(settings) else settings.store_url.rstrip("/")
    arguments = {
        "--in": volumes.IN,
        "--out": volumes.OUT,
        "--refs": volumes.REFS,
        "--token-dir": volumes.TOKEN,
        "--job-store": f"{base}/{job_folder(meta.namespace, store_id)}",
        "--artifact-store": f"{base}/{artifact_folder(meta.namespace, store_id)}",
        "--resource": meta.name,
        "--namespace": meta.namespace,
        "--attempt": str(number),
        "--targets": targets.json_text(),
        "--progress-interval": f"{settings.progress_interval:g}",
        "--ask-interval": f"{settings.ask_interval:g}",
        "--flush-interval": f"{settings.flush_interval_seconds:g}",
        "--log-quota": str(settings.log_quota_bytes),
    }
    container = _container(REPORTER, settings.runner_image, settings, "dspy-service-reporter", arguments)
    return container | {
        "restartPolicy": "Always",
        "env": [
            {"name": "POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
            {"name": "DSPY_SERVICE_URI_PREFIXES", "value": ",".join(settings.uri_prefixes)},
            *volumes.ca_environment(settings),
            *key_environment(job.spec, settings),
        ],
        "envFrom": [{"secretRef": {"name": settings.store_secret}}] if settings.store_secret else [],
        "resources": {"requests": settings.reporter_requests, "limits": settings.reporter_limits},
        "volumeMounts": volumes.reporter_mounts(job, settings),
    }


def _optimizer(job: OptimizationJob, settings: OperatorSettings) -> Json:
    image = job.spec.run.image or settings.runner_image
    arguments = {
        "--in": volumes.IN,
        "--out": volumes.OUT,
        "--scratch": volumes.TMP,
        "--log-quota": str(settings.log_quota_bytes),
    }
    return _container(OPTIMIZER, image, settings, "dspy-service-optimizer", arguments) | {
        "env": [
            {"name": "HOME", "value": volumes.TMP},
            {"name": "DSPY_CACHEDIR", "value": f"{volumes.TMP}/dspy"},
            {"name": "DSPY_SERVICE_OPTIMIZER_IMAGE", "value": image},
            {"name": "DSPY_SERVICE_OPTIMIZER_MOST_THREADS", "value": str(settings.most_threads)},
            {"name": "LITELLM_LOCAL_MODEL_COST_MAP", "value": "True"},
            {"name": "PYTHONHASHSEED", "value": "0"},  # the order of sets in prompts
            *volumes.ca_environment(settings),
            *key_environment(job.spec, settings),
        ],
        "resources": _resources(job.spec.run.resources, settings),
        "volumeMounts": volumes.optimizer_mounts(settings),
    }


def _container(name: str, image: str, settings: OperatorSettings, command: str, arguments: dict[str, str]) -> Json:
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": settings.runner_image_pull_policy,
        "command": [command],
        "args": [word for pair in arguments.items() for word in pair],
        "terminationMessagePolicy": "FallbackToLogsOnError" if name == REPORTER else "File",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }


def _resources(asked: Resources, settings: OperatorSettings) -> Json:
    """What the job asks for, laid over the defaults; a default that contradicts it is dropped."""
    requests, limits = _quantities(asked.requests), _quantities(asked.limits)
    default_requests = {name: value for name, value in settings.runner_requests.items() if name not in limits}
    default_limits = {name: requests.get(name, value) for name, value in settings.runner_limits.items()}
    return {"requests": default_requests | requests, "limits": default_limits | limits}


def _quantities(asked: Quantities | None) -> dict[str, str]:
    return asked.model_dump(exclude_none=True) if asked else {}


def _placement(settings: OperatorSettings) -> Json:
    """What whoever runs the service adds to every pod; empty settings leave no field."""
    wanted: Json = {
        "nodeSelector": settings.runner_node_selector,
        "tolerations": settings.runner_tolerations,
        "affinity": settings.runner_affinity,
        "priorityClassName": settings.runner_priority_class,
        "imagePullSecrets": [{"name": name} for name in settings.runner_image_pull_secrets],
    }
    return {name: value for name, value in wanted.items() if value}
