"""The `OptimizationJob` resource as models. The CRD is generated from them, and all parts read and write by them.

Unknown fields are ignored, because another version of the service may have written them. Decimals are strings, as the
Kubernetes API conventions ask. DSPy's own values (kwargs, events' metrics) stay plain JSON, because their types are not
ours to define. Limits here become limits of the CRD's schema: they bound the cost of its CEL rules and keep a resource
within 16 KiB of spec and 16 KiB of status.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints
from pydantic.alias_generators import to_camel

from dspy_service_core.records.record import DECIMAL_LENGTH, DECIMAL_PATTERN
from dspy_service_core.records.run import RunStatus
from dspy_service_core.resource import names, sources
from dspy_service_core.resource.program_paths import MOST_PATH_LENGTH, PATH_PATTERN
from dspy_service_core.resource.run_defaults import LONGEST_DEADLINE_SECONDS, LONGEST_TTL_SECONDS, MOST_RETRIES
from dspy_service_core.resource.sources import ConfigMapKey, Source
from dspy_service_core.resource.splits import DEFAULTS, Fractions

MAX_SPEC_BYTES = 16 * 1024
"""Specs above it move rows and code into the store by digest (etcd rewrites the whole object at every patch)."""
MAX_STATUS_BYTES = 16 * 1024

Decimal = Annotated[str, StringConstraints(pattern=DECIMAL_PATTERN, max_length=DECIMAL_LENGTH)]
NO_TEMPERATURE = "none"
"""A model's temperature where none is to be sent."""
Temperature = Annotated[
    str, StringConstraints(pattern=rf"^{NO_TEMPERATURE}$|{DECIMAL_PATTERN}", max_length=DECIMAL_LENGTH)
]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
ObjectName = Annotated[str, StringConstraints(min_length=1, max_length=253)]
DataKey = Annotated[str, StringConstraints(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
DottedName = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Code = Annotated[str, StringConstraints(min_length=1, max_length=16384)]
FileText = Annotated[str, StringConstraints(max_length=16384)]
ClassName = Annotated[str, StringConstraints(max_length=256)]
FilePath = Annotated[str, StringConstraints(min_length=1, max_length=MOST_PATH_LENGTH, pattern=PATH_PATTERN)]
FieldName = Annotated[str, StringConstraints(max_length=256)]
SecretName = Annotated[str, StringConstraints(max_length=names.MOST_SECRET_NAME)]
ModelName = Annotated[str, StringConstraints(max_length=31)]
MOST_NAMED_MODELS = 16
MOST_SECRETS = 32
MAX_SECRET_LENGTH = 16 * 1024
JsonObject = dict[str, JsonValue]

Phase = Literal["Pending", "Validating", "Running", "Succeeded", "Failed", "Cancelled"]
Stop = Literal["", "Cancel", "KeepBest"]
Adapter = Literal["chat", "json", "xml"]
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
        """As the API server stores it: in camelCase, and without fields that are null."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class KeyRef(Wire):
    """One key of a ConfigMap or Secret of the job's namespace."""

    name: ObjectName = Field(description="Name of the object, in the job's own namespace.")
    key: DataKey = Field(description="Key inside the object's data.")


class PayloadRef(Wire):
    digest: Digest = Field(description="SHA-256 digest that the job's payload document in the store must have.")


class CodeSource(Wire):
    """Python source: exactly one of the three."""

    code: Code | None = Field(default=None, description="The Python source itself, up to 16 KiB.")
    config_map_key_ref: KeyRef | None = Field(
        default=None, description="Key of a ConfigMap in the job's namespace that holds the Python source."
    )
    payload: PayloadRef | None = Field(
        default=None,
        description="Set by the HTTP API alone: the Python source lies in the job's payload document in the store.",
    )


class DatasetPayload(Wire):
    digest: Digest = Field(description="SHA-256 digest that the job's payload document in the store must have.")
    rows: int = Field(ge=1, description="How many rows the payload document holds.")
    bytes: int = Field(ge=1, description="Size of the payload document in bytes.")


class Dataset(Wire):
    """The rows: exactly one of the four."""

    rows: Annotated[list[JsonObject], Field(min_length=1, max_length=2000)] | None = Field(
        default=None,
        description="The rows themselves, as objects; for small datasets, since a spec should stay below 16 KiB.",
    )
    config_map_key_ref: KeyRef | None = Field(
        default=None,
        description="Key of a ConfigMap in the job's namespace that holds the rows. The key's ending tells the format: "
        ".jsonl, .ndjson, .json, .csv or .tsv.",
    )
    uri: Annotated[str, StringConstraints(min_length=1, max_length=2048)] | None = Field(
        default=None,
        description="URI that the rows are read from. Whoever runs the service lists the allowed prefixes. The URI's "
        "ending tells the format: .jsonl, .ndjson, .json, .csv or .tsv.",
    )
    digest: Digest | None = Field(
        default=None,
        description="SHA-256 digest that the content of uri must have, as sha256:<64 hex digits>. Required with uri.",
    )
    payload: DatasetPayload | None = Field(
        default=None, description="Set by the HTTP API alone: the rows lie in the job's payload document in the store."
    )

    @property
    def config_map_key(self) -> ConfigMapKey | None:
        ref = self.config_map_key_ref
        return ConfigMapKey(ref.name, ref.key) if ref is not None else None


class Module(Wire):
    name: DottedName = Field(description="DSPy module: an alias such as predict or cot, or a dotted path.")
    kwargs: JsonObject = Field(default_factory=dict, description="Keyword arguments for the module's constructor.")


class ProgramFile(Wire):
    """One file of a program: its path, and exactly one of the three."""

    path: FilePath = Field(
        description="Path below the program's folder: helpers/text.py. No part of it begins with a dot."
    )
    code: FileText | None = Field(default=None, description="The file's text itself, up to 16 KiB.")
    config_map_key_ref: KeyRef | None = Field(
        default=None, description="Key of a ConfigMap in the job's namespace that holds the file's text."
    )
    payload: PayloadRef | None = Field(
        default=None,
        description="Set by the HTTP API alone: the text lies in the job's payload document in the store.",
    )


class Program(CodeSource):
    """A dspy.Module of the user's own: exactly one of code, configMapKeyRef and payload."""

    name: ClassName = Field(
        default="",
        description="Class to optimize. When empty, the only dspy.Module in the source that no other class there "
        "derives from or builds.",
    )
    kwargs: JsonObject = Field(default_factory=dict, description="Keyword arguments for the class's constructor.")
    files: Annotated[list[ProgramFile], Field(max_length=sources.MOST_FILES)] = Field(
        default_factory=list,
        description="Further modules and data files of the program, importable and readable below its folder; "
        "4 MB together.",
    )


class StateSource(Wire):
    """A program's state as JSON: exactly one of the two."""

    config_map_key_ref: KeyRef | None = Field(
        default=None,
        description="Key of a ConfigMap in the job's namespace that holds the state, as DSPy's program.save writes it.",
    )
    payload: PayloadRef | None = Field(
        default=None,
        description="Set by the HTTP API alone: the state lies in the job's payload document in the store.",
    )


class Optimizer(Wire):
    name: DottedName = Field(description="DSPy optimizer: an alias such as miprov2 or gepa, or a dotted path.")
    kwargs: JsonObject = Field(default_factory=dict, description="Keyword arguments for the optimizer's constructor.")
    compile_kwargs: JsonObject = Field(
        default_factory=dict, description="Keyword arguments for the optimizer's compile method."
    )


class Columns(Wire):
    inputs: dict[FieldName, FieldName] = Field(
        min_length=1,
        max_length=128,
        description="For each input field of the signature, the dataset's column that fills it.",
    )
    outputs: dict[FieldName, FieldName] = Field(
        default_factory=dict,
        max_length=128,
        description="For each output field of the signature, the dataset's column with the expected answer.",
    )
    without_gold: Annotated[list[FieldName], Field(max_length=128)] | None = Field(
        default=None,
        description="Output fields of the signature for which no column holds an expected answer. The metric judges "
        "them by the row's other columns.",
    )


class Split(Wire):
    train: Decimal = Field(
        default=str(DEFAULTS.train),
        description="Share of the rows that the optimizer trains on. The three shares add up to 1.",
    )
    val: Decimal = Field(default=str(DEFAULTS.val), description="Share of the rows that the optimizer validates on.")
    test: Decimal = Field(
        default=str(DEFAULTS.test),
        description="Share of the rows held out for the scores before and after the optimization.",
    )
    shuffle: bool = Field(
        default=True, description="Whether the rows are shuffled, by the seed, before they are split."
    )
    seed: int | None = Field(
        default=None,
        ge=-(2**63),
        le=2**63 - 1,
        description="Seed of the shuffle. When absent, it is derived from the resource's namespace and name, so that "
        "every attempt splits the rows alike.",
    )
    column: FieldName = Field(
        default="",
        description="Column in which each row says where it belongs: train, val (or validation, dev) or test. The "
        "shares and the shuffle then have no say. When empty, rows are split by the shares.",
    )

    @property
    def fractions(self) -> Fractions:
        return Fractions(float(self.train), float(self.val), float(self.test))


class Model(Wire):
    """A language model as `dspy.LM` takes it."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=256)] = Field(
        description="Name of the model as DSPy writes it, with the provider first: openai/gpt-4o-mini."
    )
    base_url: Annotated[str, StringConstraints(max_length=2048)] = Field(
        default="",
        description="URL of the endpoint, without user name and query. When empty, the provider's own endpoint.",
    )
    model_type: Literal["chat", "text", "responses", "embedding"] | None = Field(
        default=None,
        description="Kind of the endpoint's API. When absent, chat. Only in modelConfigs it can be embedding.",
    )
    temperature: Temperature | None = Field(
        default=None,
        description="Sampling temperature, 0 to 2, or none: send none. When absent, 0.1, or what the model requires.",
    )
    max_tokens: int | None = Field(default=None, ge=1, le=2**31 - 1, description="How many tokens an answer may have.")
    top_p: Decimal | None = Field(
        default=None, description="Nucleus sampling: the probability mass that tokens are drawn from, 0 to 1."
    )
    extra: JsonObject = Field(
        default_factory=dict,
        description="Further keyword arguments for dspy.LM. Anybody who may read the job can read them: keep "
        "credentials out.",
    )
    key_from: KeyRef | None = Field(
        default=None,
        description="Key of a Secret in the job's namespace that holds the model's API key. The Secret needs the label "
        "dspy-service.io/model-key: 'true' and must not belong to a job or to the service.",
    )
    credentials_from: KeyRef | None = Field(
        default=None,
        description="Set by the HTTP API alone: key of the job's own Secret that holds the credentials which were part "
        "of baseUrl and extra.",
    )

    @property
    def sends_no_temperature(self) -> bool:
        return self.temperature == NO_TEMPERATURE

    @property
    def given_temperature(self) -> float | None:
        """None where none is given, and where none is to be sent."""
        return None if self.temperature is None or self.sends_no_temperature else float(self.temperature)


class Models(Wire):
    default: Model = Field(
        description="Model that the program calls; it serves as prompt and as task model too where those are absent."
    )
    reflection: Model | None = Field(
        default=None,
        description="Model with which GEPA reflects on failures and proposes instructions. GEPA requires it.",
    )
    prompt: Model | None = Field(
        default=None,
        description="Model with which MIPROv2, COPRO and SIMBA propose prompts. When absent, the default model.",
    )
    task: Model | None = Field(
        default=None,
        description="Model with which MIPROv2 runs the program while it searches. When absent, the default model.",
    )

    def roles(self) -> Iterator[tuple[str, Model]]:
        """All given models, each with its name in the spec."""
        for role in type(self).model_fields:
            model: Model | None = getattr(self, role)
            if model is not None:
                yield role, model


class Quantities(Wire):
    cpu: Annotated[str, StringConstraints(max_length=32)] | None = Field(
        default=None, description="Processors as a Kubernetes quantity: 2, or 500m for half a processor."
    )
    memory: Annotated[str, StringConstraints(max_length=32)] | None = Field(
        default=None, description="Memory as a Kubernetes quantity: 512Mi, 2Gi."
    )


class Resources(Wire):
    requests: Quantities | None = Field(
        default=None, description="What the scheduler keeps free for the optimizer on its node."
    )
    limits: Quantities | None = Field(
        default=None, description="What the optimizer may use at most. A job that exceeds its memory fails."
    )


class Run(Wire):
    """How the job is run; everything absent is the service's setting."""

    image: Annotated[str, StringConstraints(max_length=512)] = Field(
        default="",
        description="Container image of the runner. When empty, the service's own. The service may allow only some.",
    )
    resources: Resources = Field(
        default_factory=Resources,
        description="Requests and limits of the optimizer's container. When absent, the service's settings.",
    )
    queue: Annotated[str, StringConstraints(max_length=253)] = Field(
        default="", description="Kueue LocalQueue that admits the job. When empty, the service's setting."
    )
    priority: int = Field(
        default=0,
        ge=-1_000_000,
        le=1_000_000,
        description="Waiting jobs with a higher priority start first; those with the same start by age.",
    )
    retries: int | None = Field(
        default=None,
        ge=0,
        le=MOST_RETRIES,
        description="How many further attempts follow when faults of the infrastructure end an attempt, such as a lost "
        "node. When absent, the service's setting.",
    )
    deadline_seconds: int | None = Field(
        default=None,
        ge=1,
        le=LONGEST_DEADLINE_SECONDS,
        description="Seconds that the job may run, all attempts together; then it fails. When absent, the service's "
        "setting.",
    )
    ttl_seconds: int | None = Field(
        default=None,
        ge=0,
        le=LONGEST_TTL_SECONDS,
        description="Seconds after its end at which the job's record is removed. When absent, a job made over HTTP has "
        "the service's setting, and any other is kept.",
    )
    require: Literal["improved"] | None = Field(
        default=None,
        description="Verdict that the job must reach. With improved, the job fails with reason NoImprovement unless "
        "the optimized program is shown to be better; scores, comparison, rows and program are kept all the same.",
    )
    max_failed_rows: Decimal | None = Field(
        default=None,
        description="Share of the test rows, 0 to 1, that may fail in the score before or after the optimization. A "
        "row fails when the program or the metric does; it counts as 0 and is listed. With more of them the job "
        "fails, as it does where the metric fails on more of the optimizer's rows. When absent, 0.2.",
    )


class OptimizationJobSpec(Wire):
    program: Program | None = Field(
        default=None, description="Program to optimize, as Python source. Exactly one of program and module is needed."
    )
    module: Module | None = Field(
        default=None,
        description="DSPy module that runs the signature and is optimized. Exactly one of program and module is "
        "needed.",
    )
    optimizer: Optimizer = Field(description="DSPy optimizer that improves the module's prompts.")
    signature: CodeSource | None = Field(
        default=None,
        description="Python source of the dspy.Signature: exactly one of code, configMapKeyRef and payload. Required "
        "with module; beside program, it runs first and the program's code sees its names.",
    )
    metric: CodeSource = Field(
        description="Python source of the metric function: exactly one of code, configMapKeyRef and payload."
    )
    dataset: Dataset = Field(
        description="Rows to train, validate and test on: exactly one of rows, configMapKeyRef, uri and payload."
    )
    columns: Columns | None = Field(
        default=None,
        description="Which columns of the dataset belong to which fields of the signature, or inputs and outputs of "
        "the program. Required with module. Without it, columns of the program's own names are used.",
    )
    split: Split = Field(
        default_factory=Split, description="How the rows are divided into those for training, validation and test."
    )
    models: Models = Field(description="Language models of the job, by the role that each plays.")
    model_configs: dict[ModelName, Model] = Field(
        default_factory=dict,
        max_length=MOST_NAMED_MODELS,
        description="Further models, for judges and programs, by names of the job's own: the job's code finds each as "
        "models[name], and those of models by their roles.",
    )
    adapter: Adapter | None = Field(
        default=None, description="DSPy adapter that writes prompts and reads answers. When absent, chat."
    )
    initial: StateSource | None = Field(
        default=None, description="State of the same program that the job begins with, instead of the program's own."
    )
    secrets: dict[SecretName, KeyRef] = Field(
        default_factory=dict,
        max_length=MOST_SECRETS,
        description="Environment variables of the job's code alone, each from a key of a Secret in the job's "
        "namespace, under the conditions of a model's keyFrom.",
    )
    run: Run = Field(
        default_factory=Run, description="How the job is run: image, resources, queue, retries and limits of time."
    )
    suspend: bool = Field(
        default=False,
        description="While true, the job does not run: a running attempt ends, and a later one goes on where it was.",
    )
    stop: Stop = Field(
        default="",
        description="Cancel ends the job. KeepBest ends it with the best program found so far, and cancels it where "
        "there is none.",
    )

    @classmethod
    def without_content(cls, spec: Mapping[str, Any]) -> "OptimizationJobSpec":
        """The model of a spec without its rows and sources, which lie elsewhere and may be longer than a resource
        allows."""
        return cls.model_validate({**sources.with_sources(spec, lambda _: {}), "dataset": {}})

    @property
    def module_name(self) -> str:
        """What is optimized: the module, or the class of the job's own program where one is named."""
        chosen = self.program or self.module
        return chosen.name if chosen else ""

    @property
    def module_kwargs(self) -> JsonObject:
        chosen = self.program or self.module
        return chosen.kwargs if chosen else {}

    def all_models(self) -> Iterator[tuple[str, str, Model]]:
        """Each with its path in the spec and what the job calls it: its role, or its name."""
        for role, model in self.models.roles():
            yield f"spec.models.{role}", role, model
        for name, model in self.model_configs.items():
            yield f"spec.modelConfigs.{name}", name, model

    def sources(self) -> list[Source]:
        """All that the job carries beside its rows."""
        return sources.sources_of(self.model_dump(by_alias=True, exclude_none=True, include=set(sources.NAMES)))


class Condition(Wire):
    type: Literal["Valid", "Queued", "Started", "Succeeded", "Failed", "Cancelled"] = Field(
        description="What the condition states of the job: that its spec is valid, that it is queued, has started, "
        "succeeded, failed or was cancelled."
    )
    status: Literal["True", "False", "Unknown"] = Field(description="Whether the condition holds.")
    reason: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(
        description="Reason of the status in one CamelCase word, for programs."
    )
    message: Annotated[str, StringConstraints(max_length=2048)] = Field(
        default="", description="Reason of the status in a sentence, for readers."
    )
    last_transition_time: str = Field(description="Time at which the status last changed.")
    observed_generation: int = Field(
        default=0, description="Generation of the resource (metadata.generation) that the condition was derived from."
    )


class Attempt(Wire):
    number: int = Field(ge=1, description="Number of the attempt, from 1.")
    job_name: str = Field(description="Name of the attempt's batch/v1 Job.")
    pod_name: str = Field(default="", description="Name of the attempt's pod.")
    pod_uid: str = Field(
        default="", alias="podUID", description="UID of the one pod that may run and report for this job."
    )
    started_at: str = Field(default="", description="Time at which the attempt's Job was made.")


class EndedAttempt(Wire):
    number: int = Field(ge=1, description="Number of the attempt, from 1.")
    reason: str = Field(description="Why the attempt ended, in one CamelCase word.")
    message: Annotated[str, StringConstraints(max_length=512)] = Field(
        default="", description="Why the attempt ended, in a sentence."
    )
    ended_at: str = Field(default="", description="Time at which the operator saw that the attempt had ended.")
    counted: bool = Field(default=True, description="Whether the attempt used up one of the retries.")


class QueueStatus(Wire):
    position: int = Field(ge=0, description="Place in the queue: 1 starts next, 0 does not wait.")


class OptimizationJobStatus(Wire):
    phase: Phase = Field(
        default="Pending",
        description="Where the job is, derived from its conditions. Succeeded, Failed and Cancelled are final.",
    )
    conditions: Annotated[list[Condition], Field(max_length=8)] = Field(
        default_factory=list, description="What is known of the job, each fact with its reason."
    )
    message: Annotated[str, StringConstraints(max_length=2048)] = Field(
        default="", description="Why the job is where it is, in a sentence."
    )
    observed_generation: int = Field(
        default=0, description="Generation of the resource (metadata.generation) that this status speaks of."
    )
    attempt: Attempt | None = Field(default=None, description="The current or last attempt.")
    attempts: Annotated[list[EndedAttempt], Field(max_length=20)] = Field(
        default_factory=list, description="Earlier attempts that ended without a result."
    )
    retries_used: int = Field(default=0, description="How many retries faults of the infrastructure have used up.")
    active_seconds: int = Field(
        default=0, description="Seconds that the ended attempts took; they count towards the deadline."
    )
    queue: QueueStatus | None = Field(default=None, description="The job's place in the queue while it waits.")
    started_at: str | None = Field(
        default=None, description="Time at which an attempt had first validated its inputs and began to optimize."
    )
    completed_at: str | None = Field(default=None, description="Time at which the job ended.")
    run: RunStatus = Field(default_factory=RunStatus, description="What the runner reports of the current attempt.")


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
