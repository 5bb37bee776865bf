"""The status of an `OptimizationJob`: what the operator says of it, beside what the runner reports."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from dspy_service_core.records.run import RunStatus
from dspy_service_core.resource.wire import Wire

MAX_STATUS_BYTES = 16 * 1024

Phase = Literal["Pending", "Validating", "Running", "Succeeded", "Failed", "Cancelled"]
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

ConditionType = Literal["Valid", "Queued", "Started", "Succeeded", "Failed", "Cancelled"]
ConditionStatus = Literal["True", "False", "Unknown"]
MESSAGE_LENGTH = 2048


class Condition(Wire):
    type: ConditionType = Field(
        description="What the condition states of the job: that its spec is valid, that it is queued, has started, "
        "succeeded, failed or was cancelled."
    )
    status: ConditionStatus = Field(description="Whether the condition holds.")
    reason: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(
        description="Reason of the status in one CamelCase word, for programs."
    )
    message: Annotated[str, StringConstraints(max_length=MESSAGE_LENGTH)] = Field(
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
    message: Annotated[str, StringConstraints(max_length=MESSAGE_LENGTH)] = Field(
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
