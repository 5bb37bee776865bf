"""Every setting of the operator: environment variables `DSPY_SERVICE_<NAME>`. `docs/` is generated from this file."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AliasChoices, BeforeValidator, Field, JsonValue
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from dspy_service_core.resource.spec import run_defaults
from dspy_service_core.word_list import word_list

Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(word_list)]
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
        description="Kubeconfig of the cluster; empty: the pod's own service account.",
    )
    store_url: str = Field(
        default="file:///store",
        description="URL by which the operator itself reaches the store (file:///, s3://, gs://, az://). Pods reach a "
        "file:// store through the claim that STORE_CLAIM names. Empty: nothing is removed from the store.",
    )
    registry: str = Field(
        default="",
        description="YAML file with further modules and optimizers, their default kwargs and allowed prefixes.",
    )
    liveness_address: str = Field(
        default="", description="URL at which /healthz is served, such as http://0.0.0.0:8080/healthz. Empty: none."
    )
    metrics_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="Port on which /metrics is served for Prometheus, without a token; 0: none.",
    )
    metrics_host: str = Field(
        default="", description="Address on which /metrics is served; empty: every address of the machine."
    )
    log_level: str = Field(default="INFO", description="Level of the operator's log.")

    # Replicas
    lease_name: str = Field(
        default="",
        description="Name of the Lease by which one of several replicas is elected; the others stand by. Empty: no "
        "election, for a single replica.",
    )
    lease_namespace: str = Field(default="", description="Namespace of the Lease; empty: the operator's own.")
    lease_seconds: int = Field(
        default=15,
        ge=5,
        le=300,
        description="Seconds within which another replica leads after a leader has died. A leader that cannot renew "
        "its Lease for about half of them ends its process.",
    )

    # How many
    concurrency: int = Field(
        default=10,
        ge=0,
        description="How many jobs may run at the same time, in all namespaces together. 0 holds all in the queue.",
    )
    namespace_concurrency: int = Field(
        default=0,
        ge=0,
        description="How many jobs of one namespace may run at the same time. 0: no limit but CONCURRENCY.",
    )
    workers: int = Field(
        default=32,
        ge=1,
        description="How many jobs the operator reconciles at the same time.",
    )

    # Policy of jobs that set none of their own
    retries: int = Field(
        default=run_defaults.RETRIES,
        ge=0,
        description="Further attempts after faults of the infrastructure, for jobs without spec.run.retries.",
    )
    max_attempts: int = Field(
        default=20,
        ge=1,
        le=20,
        description="How many attempts a job has at most, those that a disruption of the cluster ended included.",
    )
    retry_backoff_seconds: float = Field(
        default=10,
        ge=0,
        description="Seconds before the second retry. The first follows at once, each later one after twice the pause.",
    )
    deadline_seconds: int = Field(
        default=run_defaults.DEADLINE_SECONDS,
        ge=1,
        description="Seconds that a job may run, all attempts together, for jobs without spec.run.deadlineSeconds.",
    )
    ttl_seconds: int = Field(
        default=run_defaults.TTL_SECONDS,
        ge=0,
        description="Seconds after its end at which a job that the HTTP API made is removed, if it has no "
        "spec.run.ttlSeconds. Jobs made with kubectl are then kept.",
    )
    most_threads: int = Field(
        default=run_defaults.MOST_THREADS,
        ge=1,
        le=run_defaults.HIGHEST_THREADS,
        description="How many model calls of one job may be under way at once; within this a job finds by itself how "
        "many bring the most answers. The highest value of spec.run.threads.",
    )
    internal_errors: int = Field(
        default=5,
        ge=1,
        description="How often in a row the operator may fail on a job by an unforeseen error before the job fails "
        "with the reason InternalError. Errors of the cluster and of the store are not counted.",
    )
    start_timeout_seconds: float = Field(
        default=600,
        ge=0,
        description="Seconds within which an attempt's pod must be made and started (image, configuration, volumes); "
        "otherwise the attempt fails.",
    )
    unschedulable_timeout_seconds: float = Field(
        default=21600, ge=0, description="Seconds after which an attempt whose pod finds no node fails. 0: never."
    )
    lost_pod_seconds: float = Field(
        default=60,
        ge=0,
        description="Seconds by which a pod may outstay its end before it counts as lost with its node.",
    )
    allowed_images: Words = Field(
        default=(),
        description="Prefixes of the images that a job may ask for, separated by commas. registry.example.org/team "
        "allows that image, its tags and all images below it, but not registry.example.org/team-b. Empty: any.",
    )

    # Housekeeping
    resync_seconds: float = Field(
        default=300,
        gt=0,
        description="Seconds between two times at which all resources are listed and compared with what is known.",
    )
    sweep_seconds: float = Field(
        default=3600,
        gt=0,
        description="Seconds between two searches for expired records, and for folders and Secrets without a job.",
    )
    sweep_safety_seconds: float = Field(
        default=3600,
        ge=0,
        description="Seconds for which a folder or Secret must be seen without its job before it is removed.",
    )
    artifact_retention_seconds: float = Field(
        default=2592000,
        ge=0,
        description="Seconds for which artifacts are kept after their job's record is gone. An HTTP DELETE removes "
        "them at once.",
    )
    job_ttl_seconds: int = Field(
        default=3600, ge=0, description="Seconds for which an ended attempt's Job is kept, with its pod and logs."
    )
    queue_position_seconds: float = Field(
        default=60, ge=1, description="Least seconds between two updates of a waiting job's position in its status."
    )
    queue_reports_per_second: int = Field(
        default=20, ge=1, description="How many waiting jobs get their position written in one second at most."
    )

    # The runner's pod
    runner_image: str = Field(
        default="dspy-service-runner:latest", description="Image of both containers of a job's pod."
    )
    runner_image_pull_policy: str = Field(
        default="IfNotPresent", description="Kubernetes' image pull policy for that image."
    )
    runner_image_pull_secrets: Words = Field(
        default=(), description="Secrets to pull images with, separated by commas."
    )
    runner_service_account: str = Field(default="dspy-service-runner", description="ServiceAccount of jobs' pods.")
    runner_requests: dict[str, str] = Field(
        default={"cpu": "250m", "memory": "512Mi"},
        description="Resource requests of the optimizer's container, as JSON.",
    )
    runner_limits: dict[str, str] = Field(
        default={"memory": "2Gi"}, description="Resource limits of the optimizer's container, as JSON."
    )
    reporter_requests: dict[str, str] = Field(
        default={"cpu": "20m", "memory": "64Mi"}, description="Resource requests of the reporter's container, as JSON."
    )
    reporter_limits: dict[str, str] = Field(
        default={"memory": "256Mi"}, description="Resource limits of the reporter's container, as JSON."
    )
    runner_node_selector: dict[str, str] = Field(default={}, description="nodeSelector of jobs' pods, as JSON.")
    runner_tolerations: list[JsonMap] = Field(default=[], description="tolerations of jobs' pods, as JSON.")
    runner_affinity: JsonMap = Field(
        default={},
        description="affinity of jobs' pods, as JSON. It keeps them on the one node that mounts the store's claim.",
    )
    runner_labels: dict[str, str] = Field(default={}, description="Further labels of jobs' pods, as JSON.")
    runner_priority_class: str = Field(default="", description="priorityClassName of jobs' pods.")
    runner_user: int = Field(default=65532, ge=1, description="User, group and fsGroup id that jobs' pods run as.")
    runner_grace_seconds: int = Field(
        default=30, ge=1, description="Seconds that a pod that is asked to end has to report and upload what it did."
    )
    out_size_limit: str = Field(default="2Gi", description="How much the optimizer may write to its output folder.")
    tmp_size_limit: str = Field(default="1Gi", description="How much the optimizer may write to /tmp.")
    store_claim: str = Field(
        default="dspy-service-store",
        description="PersistentVolumeClaim, in each namespace, that holds a file:// store.",
    )
    store_secret: str = Field(
        default="", description="Secret, in each namespace, whose entries are the reporter's environment (AWS_*, ...)."
    )
    model_keys_secret: str = Field(
        default="dspy-service-model-keys",
        description="Secret, in each namespace, with the service's own model keys (OPENAI_API_KEY, ...).",
    )
    own_secrets: Words = Field(
        default=(),
        description="Further Secrets of the service, separated by commas, that no job may name by keyFrom. Those that "
        "other settings name need not be listed.",
    )
    key_hosts: Words = Field(
        default=(),
        description="Hosts of a model's base_url that get the service's own keys, separated by commas; *.example.org "
        "means every host below it. The provider's own endpoint always does.",
    )
    allowed_base_url_hosts: Words = Field(
        default=(),
        description="Hosts that a model's base_url may name, separated by commas; *.example.org means every host below "
        "it. A model without a base_url is called at its provider's own endpoint. Empty: any.",
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
        description="ConfigMap, in each namespace, with the certificates that jobs' pods trust. It replaces those of "
        "the image. Empty: the image's.",
    )
    ca_key: str = Field(default="ca-bundle.crt", description="Key of that ConfigMap: certificates as PEM.")
    queue_name: str = Field(default="", description="Kueue LocalQueue for jobs that name none. Empty: without Kueue.")
    progress_interval_seconds: float = Field(
        default=1.5,
        gt=0,
        description="Least seconds between two progress reports of a job: what a call of the metric changed is in its "
        "status within the double.",
    )
    progress_reports_per_second: float = Field(
        default=70,
        gt=0,
        description="How many progress reports all running jobs together make in a second on average, at most; with "
        "many jobs each waits longer.",
    )
    ask_interval_seconds: float = Field(
        default=1,
        gt=0,
        description="Seconds within which a running job's pod learns of spec.stop; with many jobs each asks more "
        "rarely.",
    )
    flush_interval_seconds: float = Field(
        default=5, gt=0, description="Seconds within which logs, events and answered model calls reach the store."
    )
    log_quota_bytes: int = Field(default=268435456, ge=0, description="How many bytes of log are kept of a job.")

    @property
    def service_secrets(self) -> frozenset[str]:
        """Secrets of the service itself, which no job may name, whatever labels they have."""
        named = (self.model_keys_secret, self.store_secret, *self.runner_image_pull_secrets, *self.own_secrets)
        return frozenset(name for name in named if name)

    @property
    def progress_interval(self) -> float:
        return max(self.progress_interval_seconds, self.concurrency / self.progress_reports_per_second)

    @property
    def ask_interval(self) -> float:
        """Between two reports, so that all pods together ask as often as they report: reading costs the cluster much
        less than writing."""
        return max(self.ask_interval_seconds, self.concurrency / self.progress_reports_per_second)


def load(overrides: Mapping[str, Any] | None = None) -> OperatorSettings:
    return OperatorSettings(**(overrides or {}))
