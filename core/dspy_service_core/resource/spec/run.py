"""How a job is run: what its container gets, when its turn comes, and what ends it."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from dspy_service_core.resource import names
from dspy_service_core.resource.spec.run_defaults import LONGEST_DEADLINE_SECONDS, LONGEST_TTL_SECONDS, MOST_RETRIES
from dspy_service_core.resource.wire import Decimal, Wire

JobName = Annotated[str, StringConstraints(max_length=63, pattern=names.JOB_NAME_PATTERN)]
MAX_NOTE_LENGTH = 1024


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

    name: JobName | None = Field(
        default=None,
        description="Name by which people call a job of the HTTP API, which no two jobs that have not ended share. A "
        "job made with kubectl is called by metadata.name and cannot have another.",
    )
    note: Annotated[str, StringConstraints(max_length=MAX_NOTE_LENGTH)] = Field(
        default="", description="What its submitter wants to remember of the job."
    )
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
    threads: int | None = Field(
        default=None,
        description="How many model calls may be under way at once, at most; the service's setting is the highest "
        "value. The job finds by itself, up to this, how many bring the most answers. When absent, up to the setting.",
    )
    hedge: bool = Field(
        default=False,
        description="Whether a model call that takes much longer than nearly all others like it is made once more. The "
        "first answer is taken, and both are counted and paid for.",
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
