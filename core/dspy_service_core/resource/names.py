"""All names, labels and annotations on which several parts must agree. Without pydantic, since the reporter imports
it."""

import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from typing import Any

GROUP = "dspy-service.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "OptimizationJob"
PLURAL = "optimizationjobs"
SINGULAR = "optimizationjob"
SHORT_NAME = "oj"

LABEL_JOB = f"{GROUP}/job"
LABEL_ATTEMPT = f"{GROUP}/attempt"
LABEL_FINISHED = f"{GROUP}/finished"
LABEL_MODEL_KEY = f"{GROUP}/model-key"
LABEL_NAME = f"{GROUP}/name"
"""Repeats `spec.run.name`, which no selector can ask for."""
LABEL_SUBMITTED_BY = f"{GROUP}/submitted-by"
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
LABEL_PART_OF = "app.kubernetes.io/part-of"
"""The chart labels its own objects with this and our name."""
MANAGED_BY = "dspy-service"
ANNOTATION_REQUEST_DIGEST = f"{GROUP}/request-digest"
ANNOTATION_SUBMITTED_AT = f"{GROUP}/submitted-at"
"""Time with microseconds, to order jobs made within one second (creationTimestamp has whole seconds)."""
ANNOTATION_SUBMITTER = f"{GROUP}/submitter"
"""Who sent the job to the HTTP API. Only for people to read: whoever may create jobs can write any name here."""
ANNOTATION_ESTIMATE = f"{GROUP}/estimate"
"""What a submit was told that the job will call, as JSON."""
ANNOTATION_ENDPOINTS = f"{GROUP}/endpoints"
"""On an attempt's pod: `host:port` of its models' endpoints, for a node that gives each pod a network of its own."""
SUBMITTED_BY_API = "api"

RUNNER_SERVICE_ACCOUNT = "dspy-service-runner"
STORE_CLAIM = "dspy-service-store"
SERVICE_KEYS_SECRET = "dspy-service-model-keys"
PAGE_KEY_SECRET = "dspy-service-page-key"

MODEL_ROLES = ("default", "reflection", "prompt", "task")
"""Names in `spec.models`. With those of `spec.modelConfigs` they are the keys of a job's credentials Secret, and (in
upper case) the endings of the runner's variables."""
MODEL_NAME_PATTERN = r"^[a-z][a-z0-9_]{0,30}$"
"""Of `spec.modelConfigs`, where no role's name is one."""
SECRET_NAME_PATTERN = r"^[A-Z_][A-Z0-9_]{0,63}$"
MOST_SECRET_NAME = 64
"""Of `spec.secrets`, which become variables of the job's environment."""
_SYSTEM_BEGINNINGS = ("DSPY_", "LITELLM_", "PYTHON", "LD_", "DYLD_", "GLIBC_", "MALLOC_", "KUBERNETES_", "LC_")
_SYSTEM_NAMES = (
    *("PATH", "HOME", "USER", "SHELL", "PWD", "IFS", "ENV", "BASH_ENV", "HOSTNAME", "LANG", "TZ", "TMPDIR", "TMP"),
    *("TEMP", "POD_UID", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "OPENAI_API_BASE", "OPENAI_BASE_URL"),
)
SYSTEM_NAME_PATTERN = f"^({'|'.join(_SYSTEM_BEGINNINGS)})|^({'|'.join(_SYSTEM_NAMES)})$"
"""Names that no secret may have: by them Python, the system's libraries and the service itself change how they work,
and the last two would send every model's key to another endpoint. CEL reads the same pattern."""
_KEY, _CREDENTIALS, _SECRET = "DSPY_SERVICE_KEY_", "DSPY_SERVICE_CREDENTIALS_", "DSPY_SERVICE_SECRET_"

UUID_PATTERN = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
UUID_LENGTH = 36
LEAST_PREFIX = 4
"""Characters by which the beginning of a job's UUID may stand for the whole, where people type it."""
JOB_NAME_PATTERN = r"^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$"
"""Of `spec.run.name`: what is a value of a label and, but for its length, a name of Kubernetes."""
_ANY_UUID = "00000000-0000-0000-0000-000000000000"
_API_NAME = re.compile(rf"job-({UUID_PATTERN})")
_API_SECRET = re.compile(rf"job-{UUID_PATTERN}-keys")
_BARE_UUID = re.compile(UUID_PATTERN)

_IDEMPOTENCY_NAMESPACE = uuid.UUID("6b1d5c0e-6f0f-5f5e-9a86-0b0f6f3a6a55")


def api_job(job_id: str) -> str:
    """The resource's name for a job id of the API (a UUID)."""
    return f"job-{job_id}"


def resource_name(job_id: str) -> str:
    """The resource's name for what HTTP clients call `job_id`: a UUID of a job of the API, or already a name."""
    return api_job(job_id) if _BARE_UUID.fullmatch(job_id) else job_id


def job_id(resource: str) -> str:
    """The job id by which HTTP clients know the resource: the UUID if the API made it, else its name."""
    match = _API_NAME.fullmatch(resource)
    return match[1] if match else resource


def is_api_name(resource: str) -> bool:
    return _API_NAME.fullmatch(resource) is not None


def is_bare_uuid(name: str) -> bool:
    return _BARE_UUID.fullmatch(name) is not None


def reads_as_id(name: str) -> bool:
    """Whether somebody who types it may mean a job's UUID, or the beginning of one."""
    begins = len(name) >= LEAST_PREFIX and is_bare_uuid(name + _ANY_UUID[len(name) :])
    return begins or is_api_name(name)


def idempotent_job_id(namespace: str, key: str, owner: str = "") -> str:
    """The job id that follows from a user's `Idempotency-Key`, so that API replicas agree without talking.

    `owner` is empty if the service does not know its users. The two forms cannot be confused: no namespace begins like
    JSON, and JSON marks where one part ends and the next begins.
    """
    meant = json.dumps([namespace, owner, key]) if owner else f"{namespace}/{key}"
    return str(uuid.uuid5(_IDEMPOTENCY_NAMESPACE, meant))


def store_id(metadata: Mapping[str, Any]) -> str:
    """Name of the job's folder in the store: its UUID if the API made it, else its uid, since names can be reused."""
    match = _API_NAME.fullmatch(metadata["name"])
    return match[1] if match else str(metadata["uid"])


def derived_seed(namespace: str, job_id: str) -> int:
    """The seed of a job whose spec has none; it is the same at every attempt and in every answer about the job."""
    digest = hashlib.sha256(f"{namespace}/{job_id}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def attempt_job(resource: str, attempt: int) -> str:
    return f"{resource}-{attempt}"


def credentials_secret(resource: str) -> str:
    return f"{resource}-keys"


def is_credentials_secret(name: str) -> bool:
    """Whether the name is one that the API gives to a job's Secret, whoever made the Secret that has it now."""
    return _API_SECRET.fullmatch(name) is not None


def is_own_credentials(secret: str, job: str) -> bool:
    """Whether the API gives that name to the Secret of that job."""
    return is_credentials_secret(secret) and secret == credentials_secret(job)


def child_labels(resource: str, attempt: int | None = None) -> dict[str, str]:
    """Labels of everything that belongs to a job: its attempts' Jobs and pods, and its Secret."""
    labels = {LABEL_MANAGED_BY: MANAGED_BY, LABEL_JOB: resource}
    return labels if attempt is None else labels | {LABEL_ATTEMPT: str(attempt)}


def key_variable(model: str) -> str:
    return f"{_KEY}{model.upper()}"


def credentials_variable(model: str) -> str:
    return f"{_CREDENTIALS}{model.upper()}"


def is_key_variable(name: str) -> bool:
    return name.startswith(_KEY)


def is_credentials_variable(name: str) -> bool:
    return name.startswith(_CREDENTIALS)


def secret_variable(name: str) -> str:
    """The variable of both containers that holds a secret; the optimizer gives it to the job's code by its own name."""
    return f"{_SECRET}{name}"


def secret_of(variable: str) -> str | None:
    """The secret's own name, if the variable holds one."""
    return variable.removeprefix(_SECRET) if variable.startswith(_SECRET) else None
