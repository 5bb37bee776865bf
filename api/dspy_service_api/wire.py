"""The answers' shapes, for the OpenAPI document and the tests that hold the real answers to them.

Nothing here runs while a request is served: answers are assembled as bytes (`present.py`).
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Status = Literal["pending", "validating", "running", "success", "failed", "cancelled"]
Metrics = dict[str, Any]


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Accepted(Shape):
    job_id: str = Field(description="Under which all else is asked for.")
    status: Literal["pending"]
    estimated_remaining_seconds: None = Field(
        description="Nothing is known yet. (Elsewhere: estimated_seconds_remaining.)"
    )


class SplitFractions(Shape):
    train: float
    val: float
    test: float


class SplitCounts(Shape):
    train: int | None
    val: int | None
    test: int | None


class LogEntry(Shape):
    timestamp: str
    level: str
    logger: str
    message: str


class PagedLogEntry(LogEntry):
    n: int = Field(description="The entry's number, from 1: the next page's `after`.")


class ProgressEvent(Shape):
    timestamp: str
    event: str
    metrics: Metrics


class PagedProgressEvent(ProgressEvent):
    n: int = Field(description="The event's number, from 1: the next page's `after`.")


class ProgramArtifact(Shape):
    path: str
    program_pickle_base64: str | None = Field(
        description="`pickle.loads(base64.b64decode(...))` is the program; null for one that cannot be pickled."
    )
    metadata: Any
    optimized_prompt: str | None = Field(description="Every predictor's instructions and examples, readable.")
    program_state: Any = Field(description="As `dspy.Module.load_state` takes it.")
    digests: dict[str, str] = Field(description="By file name, `sha256:<hex>`, as recorded when the run ended.")


class ArtifactAnswer(Shape):
    program_artifact_path: str
    program_artifact: ProgramArtifact


class OptimizationMetadata(BaseModel):
    optimizer: str
    optimizer_kwargs: dict[str, Any]
    compile_kwargs: dict[str, Any]
    module_kwargs: dict[str, Any]
    model_identifier: str


class Details(BaseModel):
    train: int | None
    val: int | None
    test: int | None
    baseline_test_metric: float | None
    optimized_test_metric: float | None
    stopped_early: bool
    candidate_scores: list[tuple[int, float]] = Field(
        default=[], description="Of every candidate scored on the validation rows: metric calls until then, its score."
    )
    best_so_far: list[tuple[int, float]] = Field(
        default=[], description="Beside the same metric calls the best score until then, which never falls."
    )


class RunResponse(Shape):
    module_name: str
    optimizer_name: str
    metric_name: str | None
    split_counts: SplitCounts
    baseline_test_metric: float | None = Field(description="On DSPy's own scale, 0 to 100.")
    optimized_test_metric: float | None = Field(description="On DSPy's own scale, 0 to 100.")
    optimization_metadata: OptimizationMetadata
    details: Details
    program_artifact_path: str | None
    program_artifact: ProgramArtifact | None
    runtime_seconds: float | None
    run_log: list[LogEntry] = Field(description="The same list as `/jobs/{job_id}/logs`.")


class JobDetail(Shape):
    job_id: str
    status: Status
    message: str
    created_at: str
    started_at: str | None
    completed_at: str | None
    latest_metrics: Metrics
    progress_events: list[ProgressEvent]
    logs: list[LogEntry]
    estimated_seconds_remaining: float | None
    result: RunResponse | None = Field(description="Null until the job has ended.")


class JobSummary(Shape):
    job_id: str
    status: Status
    message: str
    created_at: str
    started_at: str | None
    completed_at: str | None
    elapsed_seconds: float | None = Field(description="Null until the job has ended.")
    estimated_seconds_remaining: float | None
    module_name: str
    optimizer_name: str
    dataset_rows: int | None = Field(description="Null while the rows behind a reference are not counted yet.")
    split_fractions: SplitFractions
    shuffle: bool
    seed: int = Field(description="The one used: given, or drawn.")
    optimizer_kwargs: dict[str, Any]
    compile_kwargs: dict[str, Any]
    latest_metrics: Metrics


class JobList(Shape):
    jobs: list[JobSummary]
    next_cursor: str | None = Field(description="Give it as `cursor` for what is older; null at the end.")


class RegisteredAssets(Shape):
    modules: list[str]
    optimizers: list[str]


class Health(Shape):
    status: Literal["ok"]
    registered_assets: RegisteredAssets


class RecordKept(Shape):
    detail: str
    code: Literal["record_kept"]
    finalizers: list[str] = Field(description="Whoever put them there removes them; the record goes with the last.")


class Detail(Shape):
    detail: str


class FieldProblem(Shape):
    field: str = Field(description="Dotted path as in `dataset[0].text`.")
    message: str
    type: str


class InvalidRequest(Shape):
    error: Literal["invalid_request"]
    detail: list[FieldProblem]
