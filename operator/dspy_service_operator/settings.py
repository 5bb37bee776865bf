"""What whoever runs the operator may change, by environment variables `DSPY_SERVICE_<NAME>`."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AliasChoices, BeforeValidator, Field, JsonValue
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def _words(value: object) -> object:
    """Lists are written with commas: `a,b`."""
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]
JsonMap = dict[str, JsonValue]


class OperatorSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="DSPY_SERVICE_", frozen=True, extra="ignore", populate_by_name=True)

    # Where
    namespaces: Words = Field(
        default=("default",),
        validation_alias=AliasChoices("DSPY_SERVICE_NAMESPACES", "DSPY_SERVICE_NAMESPACE"),
        description="Namespaces whose jobs are run, separated by commas.",
    )
    kubeconfig: str = Field(
        default="",
        validation_alias=AliasChoices("KUBECONFIG"),
        description="Path of a kubeconfig; when empty, the pod's service account.",
    )
    store_url: str = Field(
        default="file:///store",
        description="Where the operator itself reaches the store (file:///, s3://, gs://, az://). "
        "Pods reach a file:// store through the claim `store_claim`. Empty: no sweeps of the store.",
    )
    registry: str = Field(default="", description="Path of the registry YAML that adds modules and optimizers.")
    liveness_address: str = Field(
        default="", description="Where /healthz is served, as in http://0.0.0.0:8080/healthz. Empty: nowhere."
    )
    metrics_port: int = Field(
        default=0, ge=0, le=65535, description="Where /metrics is served for Prometheus, without a token; 0: nowhere."
    )
    metrics_host: str = Field(
        default="", description="Address that the metrics' port listens on; empty: every one of the machine."
    )
    log_level: str = Field(default="INFO", description="Level of the operator's log.")

    # Replicas
    lease_name: str = Field(
        default="",
        description="Lease by which one of several replicas is elected; the others stand by. Empty: no election, "
        "for a single replica.",
    )
    lease_namespace: str = Field(default="", description="Namespace of the Lease; empty: the operator's own.")
    lease_seconds: int = Field(
        default=15,
        ge=5,
        le=300,
        description="Another replica leads within so long of a leader's death. A leader that cannot renew its Lease "
        "for about half of it ends its process.",
    )

    # How many
    concurrency: int = Field(
        default=10, ge=0, description="Jobs that run at the same time, in all namespaces. 0 holds all in the queue."
    )
    namespace_concurrency: int = Field(
        default=0, ge=0, description="Jobs of one namespace that run at the same time. 0: no limit but the overall one."
    )
    workers: int = Field(default=32, ge=1, description="Reconciliations, and so requests, at the same time.")

    # Policy of jobs that set none of their own
    retries: int = Field(default=2, ge=0, description="Further attempts after infrastructure faults.")
    max_attempts: int = Field(
        default=20, ge=1, le=20, description="Attempts in all, those that a disruption of the cluster ended included."
    )
    retry_backoff_seconds: float = Field(
        default=10, ge=0, description="Pause before the second retry; the first is immediate, later ones double it."
    )
    deadline_seconds: int = Field(default=86400, ge=1, description="A job may run so long, all attempts together.")
    ttl_seconds: int = Field(
        default=604800,
        ge=0,
        description="A finished job that the HTTP API made is removed after so long. "
        "Jobs made with kubectl are kept unless their spec says otherwise.",
    )
    internal_errors: int = Field(
        default=5,
        ge=1,
        description="A job on which the operator itself fails so often in a row, by errors that nobody foresaw, fails "
        "with the reason InternalError. Errors of the cluster and of the store are never counted.",
    )
    start_timeout_seconds: float = Field(
        default=600,
        ge=0,
        description="An attempt fails when its pod cannot be made or started (image, configuration, volume) by then.",
    )
    unschedulable_timeout_seconds: float = Field(
        default=21600, ge=0, description="An attempt whose pod finds no node fails after so long. 0: never."
    )
    lost_pod_seconds: float = Field(
        default=60, ge=0, description="A pod that should be gone by so long, and is not, counts as lost with its node."
    )
    allowed_images: Words = Field(
        default=(),
        description="Prefixes of the images that a job may ask for, separated by commas; each ends at a part of the "
        "name: registry.example.org/team allows that image, its tags and all below it, and no .../team-b. Empty: any.",
    )

    # Housekeeping
    resync_seconds: float = Field(default=300, gt=0, description="Everything is listed and compared so often.")
    sweep_seconds: float = Field(
        default=3600,
        gt=0,
        description="Expired records, and folders and Secrets without a job, are looked for so often.",
    )
    sweep_safety_seconds: float = Field(
        default=3600,
        ge=0,
        description="A folder or Secret must be seen without its job for so long before it is removed.",
    )
    artifact_retention_seconds: float = Field(
        default=2592000,
        ge=0,
        description="Artifacts outlive their job's record for so long. An HTTP DELETE removes them at once.",
    )
    job_ttl_seconds: int = Field(
        default=3600, ge=0, description="An ended attempt's Job, with its pod and logs, stays readable for so long."
    )
    queue_position_seconds: float = Field(
        default=60, ge=1, description="A waiting job's position in its status is refreshed at most so often."
    )
    queue_reports_per_second: int = Field(
        default=20, ge=1, description="At most so many waiting jobs get their position written in one second."
    )

    # The runner's pod
    runner_image: str = Field(default="dspy-service-runner:latest", description="Image of both containers.")
    runner_image_pull_policy: str = Field(default="IfNotPresent", description="Kubernetes' image pull policy.")
    runner_image_pull_secrets: Words = Field(
        default=(), description="Secrets to pull images with, separated by commas."
    )
    runner_service_account: str = Field(default="dspy-service-runner", description="ServiceAccount of the pods.")
    runner_requests: dict[str, str] = Field(
        default={"cpu": "250m", "memory": "512Mi"}, description="Requests of the optimizer, as JSON."
    )
    runner_limits: dict[str, str] = Field(default={"memory": "2Gi"}, description="Limits of the optimizer, as JSON.")
    reporter_requests: dict[str, str] = Field(
        default={"cpu": "20m", "memory": "64Mi"}, description="Requests of the reporter, as JSON."
    )
    reporter_limits: dict[str, str] = Field(default={"memory": "256Mi"}, description="Limits of the reporter, as JSON.")
    runner_node_selector: dict[str, str] = Field(default={}, description="nodeSelector of the pods, as JSON.")
    runner_tolerations: list[JsonMap] = Field(default=[], description="tolerations of the pods, as JSON.")
    runner_affinity: JsonMap = Field(
        default={},
        description="affinity of the pods, as JSON; how they stay on the one node that has the store's claim.",
    )
    runner_labels: dict[str, str] = Field(default={}, description="Further labels of the pods, as JSON.")
    runner_priority_class: str = Field(default="", description="priorityClassName of the pods.")
    runner_user: int = Field(default=65532, ge=1, description="User, group and fsGroup id that pods run as.")
    runner_grace_seconds: int = Field(
        default=30, ge=1, description="What a pod that is asked to end has to report and upload what it did."
    )
    out_size_limit: str = Field(default="2Gi", description="What the optimizer may write to its output folder.")
    tmp_size_limit: str = Field(default="1Gi", description="What the optimizer may write to /tmp.")
    store_claim: str = Field(
        default="dspy-service-store", description="PersistentVolumeClaim that holds a file:// store, in each namespace."
    )
    store_secret: str = Field(
        default="", description="Secret whose entries are the reporter's environment (AWS_*, ...), in each namespace."
    )
    model_keys_secret: str = Field(
        default="dspy-service-model-keys",
        description="Secret with the service's own model keys (OPENAI_API_KEY, ...), in each namespace.",
    )
    own_secrets: Words = Field(
        default=(),
        description="Further Secrets of the service, separated by commas, that no job may name by keyFrom. (Those of "
        "the other settings need no naming.)",
    )
    key_hosts: Words = Field(
        default=(),
        description="Hosts of a model's base_url that get the service's own keys, separated by commas; *.example.org "
        "means every host below it. The provider's own endpoint always does.",
    )
    allowed_base_url_hosts: Words = Field(
        default=(),
        description="Hosts that a model's base_url may name, separated by commas; *.example.org means every host below "
        "it. A model without a base_url is asked at its provider's own endpoint. Empty: any.",
    )
    own_ports: Words = Field(
        default=(),
        description="Ports of this machine that the service itself listens on, separated by commas, where jobs run on "
        "the same machine: no model's base_url may name them. `dspy-service up` sets it.",
    )
    uri_prefixes: Words = Field(
        default=(), description="Prefixes of the URIs that datasets may be read from, separated by commas."
    )
    ca_config_map: str = Field(
        default="",
        description="ConfigMap, in each namespace, with the certificates that the pods trust (all of them, not only "
        "further ones). Empty: the image's.",
    )
    ca_key: str = Field(default="ca-bundle.crt", description="Key of that ConfigMap: certificates as PEM.")
    queue_name: str = Field(default="", description="Kueue LocalQueue of jobs that name none. Empty: without Kueue.")
    progress_interval_seconds: float = Field(
        default=2, gt=0, description="Least pause between two progress reports of a job."
    )
    progress_reports_per_second: float = Field(
        default=70,
        gt=0,
        description="All running jobs together report at most so often in the mean, by waiting longer each; in a "
        "single second somewhat more.",
    )
    flush_interval_seconds: float = Field(
        default=5, gt=0, description="Logs, events and answered model calls reach the store at least so often."
    )
    log_quota_bytes: int = Field(default=268435456, ge=0, description="Log that is kept of a job.")

    @property
    def service_secrets(self) -> frozenset[str]:
        """What lies in them is the service's, whatever label somebody gave them."""
        named = (self.model_keys_secret, self.store_secret, *self.runner_image_pull_secrets, *self.own_secrets)
        return frozenset(name for name in named if name)

    @property
    def progress_interval(self) -> float:
        return max(self.progress_interval_seconds, self.concurrency / self.progress_reports_per_second)


def load(overrides: Mapping[str, Any] | None = None) -> OperatorSettings:
    return OperatorSettings(**(overrides or {}))
