"""The optimizer's own settings, from environment variables `DSPY_SERVICE_OPTIMIZER_<NAME>`."""

from collections.abc import Mapping
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

from dspy_service_core.resource.spec.run_defaults import HIGHEST_THREADS, MAX_FAILED_ROWS, MOST_THREADS

PREFIX = "DSPY_SERVICE_OPTIMIZER_"


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True)

    ready_timeout: float = Field(
        default=900, gt=0, description="Seconds to wait for the restored inputs before giving up with exit code 64."
    )
    image: str = Field(
        default="",
        description="Image of the optimizer's container. A digest in its name goes into the artifact's metadata.",
    )
    most_threads: int = Field(
        default=MOST_THREADS,
        ge=1,
        le=HIGHEST_THREADS,
        description="How many model calls may be under way at once; within this, how many bring the most answers is "
        "found while the job runs. Given by the operator.",
    )
    max_errors: int = Field(
        default=1_000_000,
        ge=1,
        description="Failing rows after which DSPy ends an evaluation with a score of 0. High, because dead models are "
        "watched separately and failing rows are counted by the service itself.",
    )
    dead_model_failures: int = Field(
        default=8, ge=1, description="Authentication or connection errors in a row, of one model, that end the run."
    )
    failing_model_failures: int = Field(
        default=40, ge=1, description="Model errors of any kind in a row, of one model, that end the run."
    )
    longest_wait: float = Field(
        default=30,
        gt=0,
        description="Longest wait in seconds after a model's refusal (429), whatever its Retry-After asks for.",
    )
    preflight_patience: float = Field(
        default=45,
        gt=0,
        description="Seconds that a rate-limited model may refuse every call before the run; then the job fails with "
        "the reason ModelRateLimited.",
    )
    rate_limit_patience: float = Field(
        default=900,
        gt=0,
        description="Seconds that a rate-limited model may refuse every call during the run; then the job fails with "
        "the reason ModelRateLimited.",
    )
    loading_seconds: float = Field(
        default=300,
        gt=0,
        description="Seconds that each part of the job's code (program, signature, metric) may take to be loaded, the "
        "program's constructor included; then the job fails.",
    )
    first_answer_seconds: float = Field(
        default=1800,
        gt=0,
        description="Seconds that a program may take for one row when it is tried before the run; then the job fails.",
    )
    interpreter_seconds: float = Field(
        default=60, gt=0, description="Seconds that one piece of Python that a model wrote may run."
    )
    interpreter_memory: int = Field(
        default=1024 * 1024 * 1024,
        ge=64 * 1024 * 1024,
        description="Bytes of address space of a process that runs Python that a model wrote.",
    )
    preflight_rows: int = Field(
        default=5,
        ge=1,
        description="Training rows, spread over the split, that program and metric are tried on before the run. The "
        "first on which they work is enough.",
    )
    max_failed_rows: Decimal = Field(
        default=Decimal(MAX_FAILED_ROWS),
        ge=0,
        le=1,
        description="Share of a score's rows that may fail, for jobs without spec.run.maxFailedRows.",
    )
    listed_failed_rows: int = Field(
        default=100, ge=0, description="Failed rows of a score that the result lists; it counts the others."
    )
    failing_metric_failures: int = Field(
        default=20,
        ge=1,
        description="How many metric errors in a row end the run. If the metric has worked before, it takes at least "
        "as many as the stage has rows.",
    )
    progress_interval: float = Field(
        default=2.0, ge=0, description="Shortest time in seconds between two optimizer_progress events."
    )
    progress_document_interval: float = Field(
        default=0.1,
        ge=0,
        description="Shortest time in seconds between two versions of progress.json, from which the status is made.",
    )
    stop_interval: float = Field(
        default=0.25, gt=0, description="How often, in seconds, the optimizer looks whether it is asked to stop."
    )
    max_line: int = Field(default=65_536, ge=256, description="Longest log message in characters; the rest is cut.")
    logged_errors: int = Field(
        default=20, ge=0, description="Metric errors that are logged with their stack; later ones are only counted."
    )


def load(environment: Mapping[str, str]) -> Settings:
    named = {
        name: environment[PREFIX + name.upper()]
        for name in Settings.model_fields
        if PREFIX + name.upper() in environment
    }
    return Settings.model_validate(named)
