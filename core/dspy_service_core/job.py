"""The `OptimizationJob` resource as models: the one source of the CRD, of what the parts read and of what they write.

Models read from a cluster ignore what they do not know (another version may have written it). Decimals are strings,
as the Kubernetes API conventions ask; what is DSPy's own (kwargs, events' metrics) stays plain JSON, because its
types are not ours to know. Limits here become limits of the CRD's schema: they bound the cost of its CEL rules and
keep a resource within 16 KiB of spec and 16 KiB of status.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints
from pydantic.alias_generators import to_camel

from dspy_service_core import sources
from dspy_service_core.records.record import DECIMAL_LENGTH, DECIMAL_PATTERN
from dspy_service_core.records.run import RunStatus
from dspy_service_core.sources import ConfigMapKey, Source

MAX_SPEC_BYTES = 16 * 1024
"""Specs above it move rows and code into the store by digest (etcd rewrites the whole object at every patch)."""
MAX_STATUS_BYTES = 16 * 1024

Decimal = Annotated[str, StringConstraints(pattern=DECIMAL_PATTERN, max_length=DECIMAL_LENGTH)]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
ObjectName = Annotated[str, StringConstraints(min_length=1, max_length=253)]
DataKey = Annotated[str, StringConstraints(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
DottedName = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Code = Annotated[str, StringConstraints(min_length=1, max_length=16384)]
FieldName = Annotated[str, StringConstraints(max_length=256)]
JsonObject = dict[str, JsonValue]

Phase = Literal["Pending", "Validating", "Running", "Succeeded", "Failed", "Cancelled"]
Stop = Literal["", "Cancel", "KeepBest"]
FINAL_PHASES: frozenset[str] = frozenset({"Succeeded", "Failed", "Cancelled"})

StatusWord = Literal["pending", "validating", "running", "success", "failed", "cancelled"]
STATUS_WORDS: dict[str, StatusWord] = {
    "Pending": "pending",
    "Validating": "validating",
    "Running": "running",
    "Succeeded": "success",
    "Failed": "failed",
    "Cancelled": "cancelled",
}
"""Phase to the word of the HTTP contract."""


class Wire(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
        validate_default=False,
        defer_build=True,  # a process pays for the models that it uses: the optimizer never reads a status
    )

    def wire(self) -> dict[str, Any]:
        """As the API server stores it: camelCase, absent instead of null, only what was set or differs."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class KeyRef(Wire):
    """One key of a ConfigMap or Secret of the job's namespace."""

    name: ObjectName = Field(description="Name of the object, in the job's own namespace.")
    key: DataKey = Field(description="Key inside the object's data.")


class PayloadRef(Wire):
    digest: Digest = Field(description="SHA-256 of the job's payload document in the store.")


class CodeSource(Wire):
    """Python source: exactly one of the three."""

    code: Code | None = Field(default=None, description="The source itself, up to 16 KiB.")
    config_map_key_ref: KeyRef | None = Field(default=None, description="The source in a ConfigMap.")
    payload: PayloadRef | None = Field(
        default=None, description="The source in the job's payload document in the store; written by the HTTP API."
    )


class DatasetPayload(Wire):
    digest: Digest = Field(description="SHA-256 of the job's payload document in the store.")
    rows: int = Field(ge=1, description="How many rows it holds.")
    bytes: int = Field(ge=1, description="Its size in bytes.")


class Dataset(Wire):
    """The rows: exactly one of the four."""

    rows: Annotated[list[JsonObject], Field(min_length=1, max_length=2000)] | None = Field(
        default=None, description="The rows themselves, where the whole spec stays within 16 KiB."
    )
    config_map_key_ref: KeyRef | None = Field(
        default=None, description="Rows in a ConfigMap, as JSON Lines, a JSON array or CSV by the key's ending."
    )
    uri: Annotated[str, StringConstraints(min_length=1, max_length=2048)] | None = Field(
        default=None,
        description="Rows at a URI below one of the prefixes that the operator of the service allows, "
        "as JSON Lines, a JSON array or CSV by its ending.",
    )
    digest: Digest | None = Field(default=None, description="SHA-256 that the content of `uri` must have.")
    payload: DatasetPayload | None = Field(
        default=None, description="Rows in the job's payload document in the store; written by the HTTP API."
    )

    @property
    def config_map_key(self) -> ConfigMapKey | None:
        ref = self.config_map_key_ref
        return ConfigMapKey(ref.name, ref.key) if ref is not None else None


class Module(Wire):
    name: DottedName = Field(description="Alias (predict, cot, ...) or dotted path of a dspy module.")
    kwargs: JsonObject = Field(default_factory=dict, description="Keyword arguments of the module's constructor.")


class Optimizer(Wire):
    name: DottedName = Field(description="Alias (miprov2, gepa, ...) or dotted path of a dspy optimizer.")
    kwargs: JsonObject = Field(default_factory=dict, description="Keyword arguments of the optimizer's constructor.")
    compile_kwargs: JsonObject = Field(default_factory=dict, description="Keyword arguments of its `compile`.")


class Columns(Wire):
    inputs: dict[FieldName, FieldName] = Field(
        min_length=1, max_length=128, description="Input field of the signature to column of the dataset."
    )
    outputs: dict[FieldName, FieldName] = Field(
        default_factory=dict, max_length=128, description="Output field of the signature to column of the dataset."
    )


class Split(Wire):
    train: Decimal = Field(default="0.7", description="Share of the rows that the optimizer trains on.")
    val: Decimal = Field(default="0.15", description="Share of the rows that the optimizer validates on.")
    test: Decimal = Field(default="0.15", description="Share held out for the two scores that are reported.")
    shuffle: bool = Field(default=True, description="Shuffle the rows by the seed before they are split.")
    seed: int | None = Field(
        default=None,
        ge=-(2**63),
        le=2**63 - 1,
        description="Seed of the shuffle; when absent, derived from the resource's uid, so that a retry splits alike.",
    )


class Model(Wire):
    """A language model as `dspy.LM` takes it."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=256)] = Field(
        description="Model as DSPy writes it, provider first: openai/gpt-4o-mini."
    )
    base_url: Annotated[str, StringConstraints(max_length=2048)] = Field(
        default="", description="Endpoint; empty for the provider's own. Without user part and query."
    )
    model_type: Literal["chat", "text", "responses"] | None = Field(
        default=None, description="API flavour; chat when absent."
    )
    temperature: Decimal | None = Field(
        default=None, description="Sampling temperature, 0 to 2; 0.1 when absent, or what the model demands."
    )
    max_tokens: int | None = Field(default=None, ge=1, le=2**31 - 1, description="Longest answer in tokens.")
    top_p: Decimal | None = Field(default=None, description="Nucleus sampling, 0 to 1.")
    extra: JsonObject = Field(
        default_factory=dict, description="Further keyword arguments of dspy.LM. Credentials do not belong here."
    )
    key_from: KeyRef | None = Field(
        default=None,
        description="API key in a Secret that carries the label dspy-service.io/model-key: 'true' "
        "and belongs neither to a job nor to the service.",
    )
    credentials_from: KeyRef | None = Field(
        default=None,
        description="Withheld parts of base_url and extra, as JSON in the Secret of this very job; "
        "written by the HTTP API, and refused from anybody else.",
    )


class Models(Wire):
    default: Model = Field(description="The model that the program runs on.")
    reflection: Model | None = Field(default=None, description="GEPA's reflection model; required by GEPA.")
    prompt: Model | None = Field(default=None, description="MIPROv2's, COPRO's and SIMBA's prompt model.")
    task: Model | None = Field(default=None, description="MIPROv2's task model.")

    def roles(self) -> Iterator[tuple[str, Model]]:
        """All that are given, with what the spec calls them."""
        for role in type(self).model_fields:
            model: Model | None = getattr(self, role)
            if model is not None:
                yield role, model


class Quantities(Wire):
    cpu: Annotated[str, StringConstraints(max_length=32)] | None = Field(default=None, description="CPU quantity.")
    memory: Annotated[str, StringConstraints(max_length=32)] | None = Field(
        default=None, description="Memory quantity."
    )


class Resources(Wire):
    requests: Quantities | None = Field(default=None, description="What the optimizer asks of the scheduler.")
    limits: Quantities | None = Field(default=None, description="What the optimizer may not exceed.")


class Run(Wire):
    """How the job is run; everything absent is the service's setting."""

    image: Annotated[str, StringConstraints(max_length=512)] = Field(
        default="", description="Runner image; the service's own when empty. The service may allow only some."
    )
    resources: Resources = Field(default_factory=Resources, description="Resources of the optimizer container.")
    queue: Annotated[str, StringConstraints(max_length=253)] = Field(
        default="", description="Kueue LocalQueue that the attempts' Jobs are submitted to."
    )
    priority: int = Field(
        default=0, ge=-1_000_000, le=1_000_000, description="Higher starts first; equal ones start by age."
    )
    retries: int | None = Field(default=None, ge=0, le=10, description="Further attempts after infrastructure faults.")
    deadline_seconds: int | None = Field(
        default=None, ge=1, le=2_592_000, description="The job fails when it has run this long, all attempts together."
    )
    ttl_seconds: int | None = Field(
        default=None,
        ge=0,
        le=31_536_000,
        description="The record is removed so long after its end; a kubectl-made one is kept when absent.",
    )


class OptimizationJobSpec(Wire):
    module: Module = Field(description="The dspy module that is optimized.")
    optimizer: Optimizer = Field(description="The dspy optimizer that does it.")
    signature: CodeSource = Field(description="Source of the dspy.Signature.")
    metric: CodeSource = Field(description="Source of the metric function.")
    dataset: Dataset = Field(description="The rows.")
    columns: Columns = Field(description="Which column of a row feeds which field of the signature.")
    split: Split = Field(default_factory=Split, description="How the rows are split.")
    models: Models = Field(description="The language models.")
    run: Run = Field(default_factory=Run, description="How the job is run.")
    suspend: bool = Field(default=False, description="Hold the job; a running attempt ends and a later one goes on.")
    stop: Stop = Field(
        default="",
        description="Cancel ends the job; KeepBest ends it with the best program so far, or cancels where none is.",
    )

    def sources(self) -> list[Source]:
        """All code that the job carries."""
        return sources.sources_of(self.model_dump(by_alias=True, exclude_none=True, include=set(sources.NAMES)))


class Condition(Wire):
    type: Literal["Valid", "Queued", "Started", "Succeeded", "Failed", "Cancelled"] = Field(description="What of.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(description="CamelCase reason.")
    message: Annotated[str, StringConstraints(max_length=2048)] = Field(default="", description="For people.")
    last_transition_time: str = Field(description="When the status last changed.")
    observed_generation: int = Field(default=0, description="Generation of the spec that it speaks of.")


class Attempt(Wire):
    number: int = Field(ge=1, description="Counts from 1.")
    job_name: str = Field(description="The attempt's batch/v1 Job.")
    pod_name: str = Field(default="", description="The attempt's pod.")
    pod_uid: str = Field(
        default="",
        alias="podUID",
        description="The one pod that may run user code and report for this job.",
    )
    started_at: str = Field(default="", description="When the attempt's Job was made.")


class EndedAttempt(Wire):
    number: int = Field(ge=1, description="Which attempt.")
    reason: str = Field(description="CamelCase reason of its end.")
    message: Annotated[str, StringConstraints(max_length=512)] = Field(default="", description="For people.")
    ended_at: str = Field(default="", description="When it was seen to have ended.")
    counted: bool = Field(default=True, description="Whether it used up one of the retries.")


class QueueStatus(Wire):
    position: int = Field(ge=0, description="1 starts next; 0 when the job does not wait.")


class OptimizationJobStatus(Wire):
    phase: Phase = Field(default="Pending", description="Derived from the conditions; an end is final.")
    conditions: Annotated[list[Condition], Field(max_length=8)] = Field(
        default_factory=list, description="Why it is as it is."
    )
    message: Annotated[str, StringConstraints(max_length=2048)] = Field(default="", description="For people.")
    observed_generation: int = Field(default=0, description="Generation of the spec that was acted on.")
    attempt: Attempt | None = Field(default=None, description="The current or last attempt.")
    attempts: Annotated[list[EndedAttempt], Field(max_length=20)] = Field(
        default_factory=list, description="Attempts that ended without a result."
    )
    retries_used: int = Field(default=0, description="Retries that infrastructure faults used up.")
    active_seconds: int = Field(default=0, description="How long the ended attempts took; counts for the deadline.")
    queue: QueueStatus | None = Field(default=None, description="Place in the queue while waiting.")
    started_at: str | None = Field(default=None, description="When the preflight had first passed.")
    completed_at: str | None = Field(default=None, description="When the job ended.")
    run: RunStatus = Field(default_factory=RunStatus, description="What the runner reports.")


class ObjectMeta(Wire):
    """What we read of `metadata`."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class OptimizationJob(Wire):
    metadata: ObjectMeta
    spec: OptimizationJobSpec
    status: OptimizationJobStatus = Field(default_factory=OptimizationJobStatus)

    @property
    def finished(self) -> bool:
        return self.status.phase in FINAL_PHASES
