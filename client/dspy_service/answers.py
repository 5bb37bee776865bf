"""The service's answers as frozen dataclasses. `reading.py` reads them.

Scores are on DSPy's own scale, 0 to 100, everywhere. What is in `metrics` a job's own code may have chosen: anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dspy_service import foreign
from dspy_service.errors import JobFailed
from dspy_service.reading import entry

FINAL_STATUSES = frozenset({"success", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class Accepted:
    job_id: str
    status: str
    warning: str | None = None
    """Top-level keys of the payload that the service does not know, where there were any."""


@dataclass(frozen=True, slots=True)
class SplitFractions:
    train: float
    val: float
    test: float


@dataclass(frozen=True, slots=True)
class SplitCounts:
    train: int | None
    val: int | None
    test: int | None


@dataclass(frozen=True, slots=True)
class CallRange:
    least: int
    most: int | None = None
    """None where nobody can say it before the run."""


@dataclass(frozen=True, slots=True)
class Estimated:
    rule: str
    """What the range follows from, and when it holds; or why there is none."""
    least: int | None = None
    most: int | None = None


@dataclass(frozen=True, slots=True)
class EstimatedStage:
    metric_calls: CallRange
    model_calls: CallRange


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a job will call, as far as that can be known before it runs."""

    metric_calls: Estimated
    model_calls: Estimated
    tokens: Estimated
    cost_usd: Estimated
    by_stage: dict[str, EstimatedStage] = field(default_factory=dict)
    """By `preflight`, `baseline`, `optimize` and `final`: these add up to the ranges of all."""
    predictors: int | None = None
    """Of the program; None where only running its code would tell."""


@dataclass(frozen=True, slots=True)
class DryRun:
    """A request that a submit would take. Nothing was stored."""

    split_counts: SplitCounts
    estimate: Estimate
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    timestamp: datetime
    event: str
    metrics: dict[str, Any] = field(default_factory=dict)
    n: int = 0
    """The event's number from 1, on pages alone."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    timestamp: datetime
    """1970-01-01 where what came is no time."""
    level: str
    logger: str
    message: str
    n: int = 0
    """The entry's number from 1, on pages alone."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What model calls took, all attempts together."""

    calls: int
    cached_calls: int = 0
    prompt_tokens: int | None = None
    """None where no answer told how many, as below."""
    completion_tokens: int | None = None
    cached_prompt_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float | None = None
    """None where the price of a call is not known."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _JobFacts:
    """What a job's summary and its whole answer both say, and older services do not."""

    running_seconds: float | None = None
    """Since it started, in whole seconds while it goes on; at its end as `elapsed_seconds`."""
    best_score: float | None = None
    """Of a full evaluation so far; not on the test rows, so not to be compared with the test scores."""
    best_score_on: str | None = None
    """Its rows: `validation`, or `training` where the optimizer takes no other."""
    best_score_rows: int | None = None
    """How many."""
    best_score_at_call: int | None = None
    """Metric calls of the run, the baseline's among them, when it was found."""
    adapter: str | None = None
    """DSPy's adapter: `chat`, `json` or `xml`."""
    split_column: str | None = None
    """The column in which rows say themselves where they belong; None where shares split them."""
    budget: dict[str, Any] | None = None
    """The job's caps, `model_calls`, say; None where it has none."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Of the optimized program with the one that was given, on the same test rows; in points of 0 to 100."""

    difference: float
    method: str
    rows: int
    won: int
    lost: int
    tied: int
    failed_rows: int
    interval: tuple[float, ...] | None = None
    """Low and high: where the true difference lies. None where the scores have no bounds."""
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Summary(_JobFacts):
    job_id: str
    status: str
    message: str
    created_at: datetime
    module_name: str
    optimizer_name: str
    split_fractions: SplitFractions
    seed: int
    started_at: datetime | None = None
    completed_at: datetime | None = None
    elapsed_seconds: float | None = None
    estimated_seconds_remaining: float | None = None
    dataset_rows: int | None = None
    shuffle: bool = True
    optimizer_kwargs: dict[str, Any] = field(default_factory=dict)
    compile_kwargs: dict[str, Any] = field(default_factory=dict)
    latest_metrics: dict[str, Any] = field(default_factory=dict)
    notice: str | None = None
    """What the run waits for, such as a model's rate limit."""
    verdict: str | None = None
    """`improved`, `no_evidence`, `worse` or `unknown`; None until both programs were scored."""
    usage: Usage | None = None
    """None of an older service."""
    name: str | None = None
    """What people call it."""
    note: str | None = None
    """Its submitter's."""
    candidates_count: int | None = None
    """How many programs the search has tried; None of an older service."""
    model_name: str = ""
    comparison: Comparison | None = None
    """The verdict's evidence."""
    paused: bool = False
    """Whether it waits to be resumed, or is about to."""

    @property
    def finished(self) -> bool:
        return self.status in FINAL_STATUSES

    def raise_unless_success(self) -> None:
        if self.status != "success":
            raise JobFailed(self.job_id, self.status, self.message)


@dataclass(frozen=True, slots=True)
class JobPage:
    jobs: tuple[Summary, ...]
    next_cursor: str | None = None
    total: int | None = None
    """Of all pages together, where the service knows it without looking at every job."""


@dataclass(frozen=True, slots=True)
class RecordKept:
    """Of a deleted job that is stopped, and whose record finalizers keep until somebody removes them."""

    detail: str
    finalizers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Artifact:
    path: str
    program_pickle_base64: str | None = None
    """None for a program that cannot be pickled. Unpickling it runs what the job's submitter wrote."""
    metadata: Any = None
    optimized_prompt: str | None = None
    program_state: Any = None
    digests: dict[str, str] = field(default_factory=dict)
    """SHA-256 of each file by the service's record, as `sha256:<hex>`."""
    baseline_state: Any = None
    """The state of the program as it was given."""
    messages: dict[str, Any] | None = None
    """What each predictor sends, with placeholders: for `fill_messages`."""
    signature_code: str | None = None
    program_code: str | None = None
    program_files: dict[str, str] | None = None
    """As they were submitted, like the two above."""
    arguments: dict[str, Any] | None = None
    """The module or class, its `kwargs` and the `adapter`."""
    nearest_rows: dict[str, Any] | None = None
    """What a program of KNNFewShot looks up when it runs."""
    joined_programs: dict[str, Any] | None = None
    """What `dspy.Ensemble` joined: sources and arguments of each of its programs."""
    submitted_digests: dict[str, str] = field(default_factory=dict)
    """SHA-256 of what was submitted, by source; and of the stored `payload`."""


@dataclass(frozen=True, slots=True)
class Result:
    module_name: str
    optimizer_name: str
    split_counts: SplitCounts
    metric_name: str | None = None
    baseline_test_metric: float | None = None
    optimized_test_metric: float | None = None
    optimization_metadata: dict[str, Any] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    program_artifact_path: str | None = None
    program_artifact: Artifact | None = None
    runtime_seconds: float | None = None
    run_log: tuple[LogEntry, ...] = ()

    @property
    def verdict(self) -> str | None:
        """`improved`, `no_evidence`, `worse` or `unknown`; None where nothing was compared."""
        return foreign.text_of(self.details.get("verdict"))

    @property
    def budget_hit(self) -> str | None:
        """Which cap of the job's budget ended it: `model_calls`, say; None where none did."""
        return foreign.text_of(self.details.get("budget_hit"))

    @property
    def nothing_tried(self) -> str | None:
        """Why the optimizer scored nothing but the program as given; None where it did."""
        return foreign.text_of(self.details.get("nothing_tried"))

    @property
    def comparison(self) -> Comparison | None:
        """The evidence for the verdict."""
        found = self.details.get("comparison")
        return entry(Comparison, found) if isinstance(found, Mapping) else None

    @property
    def usage(self) -> Usage | None:
        """Of all model calls; `details["usage"]` has it by model, stage and predictor too."""
        found = self.details.get("usage")
        total = found.get("total") if isinstance(found, Mapping) else None
        return entry(Usage, total) if isinstance(total, Mapping) else None


@dataclass(frozen=True, slots=True)
class Job(_JobFacts):
    job_id: str
    status: str
    message: str
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    latest_metrics: dict[str, Any] = field(default_factory=dict)
    progress_events: tuple[Event, ...] = ()
    logs: tuple[LogEntry, ...] = ()
    estimated_seconds_remaining: float | None = None
    result: Result | None = None
    notice: str | None = None
    """What the run waits for, such as a model's rate limit."""
    usage: Usage | None = None
    """None of an older service."""
    candidates_count: int | None = None
    """How many programs the search has tried; None of an older service."""

    @property
    def finished(self) -> bool:
        return self.status in FINAL_STATUSES

    def raise_unless_success(self) -> None:
        if self.status != "success":
            raise JobFailed(self.job_id, self.status, self.message)


@dataclass(frozen=True, slots=True)
class ProgramAnswer:
    """What one program made of a row."""

    prediction: dict[str, Any] | None = None
    """None where it failed."""
    score: float | None = None
    """The metric's own number; None for a row that failed: it counts 0."""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A test row, with what the program that was given and the optimized one made of it."""

    n: int
    """Its place in the dataset, from 0."""
    baseline: ProgramAnswer
    outcome: str | None = None
    """`won`, `lost` or `tied`: by the optimized program; None where nothing was optimized."""
    optimized: ProgramAnswer | None = None
    inputs: dict[str, Any] = field(default_factory=dict)
    gold: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PredictorChange:
    """What a candidate has otherwise than the program as given. What is very long is cut, and says so."""

    instructions: str | None = None
    """None where they are as given."""
    demos: tuple[dict[str, Any], ...] | None = None
    """All of them; None where they are as given."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A program that the search tried."""

    n: int
    at_call: int
    """Metric calls of the search when it came."""
    rows: int
    """Rows that it was scored on: scores on other rows do not compare."""
    accepted: bool
    """Whether the search kept it: GEPA in its pool, any other optimizer as the best so far."""
    score: float | None = None
    """0 to 100; None where it was not scored."""
    parents: tuple[int, ...] = ()
    """Numbers of those that it was made from; empty: from the program as given, or not known."""
    changes: dict[str, PredictorChange] = field(default_factory=dict)
    """By predictor."""


@dataclass(frozen=True, slots=True)
class Assets:
    modules: tuple[str, ...]
    optimizers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Health:
    status: str
    registered_assets: Assets


@dataclass(frozen=True, slots=True)
class Argument:
    """Of a module or an optimizer."""

    name: str
    required: bool
    default: Any
    types: tuple[str, ...]
    """JSON types that it takes; empty: any. `object` is no JSON value."""
    choices: tuple[Any, ...]
    set_by_service: str | None
    """From where the service sets it: a request that gives it is refused."""
    refused: str | None
    """Why a job cannot give it."""
    least: int | None = None
    """The least number that it takes, where one is known."""
    description: str | None = None
    """What it means, in dspy's own words."""


@dataclass(frozen=True, slots=True)
class _Nameable:
    """What a job may name."""

    path: str
    paths: tuple[str, ...]
    aliases: tuple[str, ...]
    refused: str | None
    """Why no job can name it."""
    arguments: tuple[Argument, ...]
    further_arguments: bool


@dataclass(frozen=True, slots=True)
class CatalogueModule(_Nameable):
    predictors: int | None


@dataclass(frozen=True, slots=True)
class CatalogueOptimizer(_Nameable):
    compile_arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What a job may name, and what is installed where it runs."""

    python: str
    modules: tuple[CatalogueModule, ...]
    optimizers: tuple[CatalogueOptimizer, ...]
    packages: dict[str, str] = field(default_factory=dict)
    """Versions by normalized names."""
