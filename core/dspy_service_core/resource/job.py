"""The `OptimizationJob` resource as models. The CRD is generated from them, and all parts read and write by them.

`wire.py` says how they are read and written. The parts of the spec are in `spec`, the status in `status.py`.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from dspy_service_core.resource import names, sources
from dspy_service_core.resource.adapters import DEFAULT_ADAPTER, Adapter
from dspy_service_core.resource.sources import Source
from dspy_service_core.resource.spec.budget import Budget
from dspy_service_core.resource.spec.code import CodeSource, JoinedSource, Program, StateSource
from dspy_service_core.resource.spec.dataset import Columns, Dataset, Split
from dspy_service_core.resource.spec.models import MOST_NAMED_MODELS, Model, Models
from dspy_service_core.resource.spec.run import Run
from dspy_service_core.resource.status import FINAL_PHASES, OptimizationJobStatus
from dspy_service_core.resource.wire import DottedName, JsonObject, KeyRef, Wire

MAX_SPEC_BYTES = 16 * 1024
"""Specs above it move rows and code into the store by digest (etcd rewrites the whole object at every patch)."""

SecretName = Annotated[str, StringConstraints(max_length=names.MOST_SECRET_NAME)]
ModelName = Annotated[str, StringConstraints(max_length=31)]
MOST_SECRETS = 32
MAX_SECRET_LENGTH = 16 * 1024

Stop = Literal["", "Cancel", "KeepBest"]


class Module(Wire):
    name: DottedName = Field(description="DSPy module: an alias such as predict or cot, or a dotted path.")
    kwargs: JsonObject = Field(default_factory=dict, description="Keyword arguments for the module's constructor.")


class Optimizer(Wire):
    name: DottedName = Field(description="DSPy optimizer: an alias such as miprov2 or gepa, or a dotted path.")
    kwargs: JsonObject = Field(default_factory=dict, description="Keyword arguments for the optimizer's constructor.")
    compile_kwargs: JsonObject = Field(
        default_factory=dict, description="Keyword arguments for the optimizer's compile method."
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
        default=None,
        description=f"DSPy adapter that writes prompts and reads answers. When absent, {DEFAULT_ADAPTER}.",
    )
    initial: StateSource | None = Field(
        default=None, description="State of the same program that the job begins with, instead of the program's own."
    )
    joined: JoinedSource | None = Field(
        default=None, description="Programs of earlier jobs that dspy.Ensemble joins, which alone takes them."
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
    budget: Budget | None = Field(
        default=None,
        description="Caps of the whole job. At one of them no further call starts, those in flight are taken, and the "
        "job ends with the best program found so far.",
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
