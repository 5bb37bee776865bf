"""Which objects, images and URIs a job's spec may name: its author's or everybody's, never another job's or the
service's own.

Pure. The first half needs only the resource, the second half an object that it names. A pod mounts Secrets by name, so
a Secret that is replaced between this check and the pod's start is mounted in its new form. Therefore names that the
service itself may give later are refused already; and whoever may write Secrets may read them anyway.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from dspy_service_core.registry.prefixes import image_is_below, uri_is_below
from dspy_service_core.resource import names
from dspy_service_core.resource.job import OptimizationJobSpec
from dspy_service_core.resource.spec.models import Model
from dspy_service_core.resource.wire import KeyRef
from dspy_service_operator.settings import OperatorSettings

_PLAIN_TYPES = ("", "Opaque")
"""Secrets of any other type are not for model keys: tokens of accounts, registries, TLS, releases of Helm."""


def problem(metadata: Mapping[str, Any], spec: OptimizationJobSpec, settings: OperatorSettings) -> str:
    """What is wrong with the first forbidden reference; empty if there is none."""
    return next(_problems(metadata, spec, settings), "")


def _problems(metadata: Mapping[str, Any], spec: OptimizationJobSpec, settings: OperatorSettings) -> Iterator[str]:
    if not is_api_made(metadata):
        for path in _of_the_api(spec):
            yield f"{path} is the HTTP API's alone: what it names belongs to a job that was sent there."
    for path, _, model in spec.all_models():
        yield from _model_problems(path, model, metadata["name"], settings)
    for name, ref in spec.secrets.items():
        if not (is_api_made(metadata) and names.is_own_credentials(ref.name, metadata["name"])):
            yield from _key_problems(f"spec.secrets.{name}", ref, settings)
    image, allowed = spec.run.image, settings.allowed_images
    if image and allowed and not image_is_below(image, allowed):
        yield f"spec.run.image: '{image}' is not allowed; allowed are: {', '.join(allowed)}"
    if (uri := spec.dataset.uri) and settings.store_url and uri_is_below(uri, [settings.store_url]):
        yield "spec.dataset.uri: the service's own store holds what belongs to other jobs."


def is_api_made(metadata: Mapping[str, Any]) -> bool:
    """By its label, which admission policies reserve for the API, and by its name, whose form only the API uses."""
    label = (metadata.get("labels") or {}).get(names.LABEL_SUBMITTED_BY)
    return label == names.SUBMITTED_BY_API and names.is_api_name(metadata["name"])


def _of_the_api(spec: OptimizationJobSpec) -> Iterator[str]:
    for path, _, model in spec.all_models():
        if model.credentials_from is not None:
            yield f"{path}.credentialsFrom"
    for source in spec.sources():
        if source.payload_digest is not None:
            yield f"{source.path}.payload"
    if spec.dataset.payload is not None:
        yield "spec.dataset.payload"


def _model_problems(path: str, model: Model, job: str, settings: OperatorSettings) -> Iterator[str]:
    if (own := model.credentials_from) is not None and own.name != names.credentials_secret(job):
        yield f"{path}.credentialsFrom: Secret '{own.name}' is not this job's."
    if (key := model.key_from) is not None:
        yield from _key_problems(f"{path}.keyFrom", key, settings)


def _key_problems(path: str, key: KeyRef, settings: OperatorSettings) -> Iterator[str]:
    if names.is_credentials_secret(key.name):
        yield f"{path}: Secret '{key.name}' is one of a job's; name one of your own."
    if key.name in settings.service_secrets:
        yield f"{path}: Secret '{key.name}' is one of the service's; name one of your own."


def foreign_key(secret: Mapping[str, Any], ref: KeyRef) -> str:
    """Why `keyFrom` and `secrets` may not name this Secret, whatever its labels are; empty if it may."""
    if _owning_jobs(secret):
        return f"Secret '{ref.name}' belongs to a job; name one of your own."
    if _is_services(secret):
        return f"Secret '{ref.name}' belongs to the service; name one of your own."
    if (kind := secret.get("type", "")) not in _PLAIN_TYPES:
        return f"Secret '{ref.name}' is of type {kind}, which no job may use; name one of type Opaque."
    return ""


def foreign_config(config_map: Mapping[str, Any], name: str, uid: str) -> str:
    if _owning_jobs(config_map) - {uid}:
        return f"ConfigMap '{name}' belongs to another job."
    if _is_services(config_map):
        return f"ConfigMap '{name}' belongs to the service."
    return ""


def is_own(secret: Mapping[str, Any], uid: str) -> bool:
    """Whether this very job owns the Secret. Compared by uid, because a name can be used again."""
    return _owning_jobs(secret) == {uid}


def _owning_jobs(obj: Mapping[str, Any]) -> set[str]:
    references = obj["metadata"].get("ownerReferences") or ()
    return {it["uid"] for it in references if it["apiVersion"].startswith(f"{names.GROUP}/")}


def _is_services(obj: Mapping[str, Any]) -> bool:
    labels = obj["metadata"].get("labels") or {}
    ours = names.MANAGED_BY in (labels.get(names.LABEL_MANAGED_BY), labels.get(names.LABEL_PART_OF))
    return ours or names.LABEL_JOB in labels
