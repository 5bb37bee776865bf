"""The answers of the HTTP API, each field declared once.

The presenting (`present.py`, `problems.py`) builds plain dicts that a type checker holds to these declarations, so they
cost a request nothing. The OpenAPI document is made from them when it is asked for; its examples are answers that were
presented (`routes/examples.py`), and the tests hold every answer that they get to it.
"""

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, NotRequired

from orjson import Fragment
from pydantic import ConfigDict, Field, GetCoreSchemaHandler, TypeAdapter, with_config
from pydantic_core import CoreSchema
from typing_extensions import TypeAliasType, TypedDict

from dspy_service_core.records.run import BudgetCap, ScoredOn, Verdict
from dspy_service_core.records.usage import CallStage
from dspy_service_core.resource.adapters import Adapter
from dspy_service_core.resource.status import StatusWord


@dataclass(frozen=True, slots=True)
class Shows:
    """The type that clients see, for a field whose value the service holds as encoded JSON or as an unchecked dict."""

    kind: Any

    def __get_pydantic_core_schema__(self, _source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return handler.generate_schema(self.kind)


JsonObject = Annotated[Fragment, Shows(dict[str, Any])]
JsonValue = Annotated[Fragment, Shows(Any)]
Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"})]

closed = with_config(ConfigDict(extra="forbid"))
"""An answer of this shape has no other fields."""
open_ended = with_config(ConfigDict(extra="allow"))
"""Other fields may follow: an optimizer may report more."""


@closed
class Accepted(TypedDict):
    job_id: Annotated[str, Field(description="Id of the job, by which all else about it is asked for.")]
    status: Literal["pending"]
    estimated_remaining_seconds: Annotated[
        None,
        Field(
            description="Always null: before a run nothing is known. Later answers have `estimated_seconds_remaining`."
        ),
    ]


@closed
class JobSplitFractions(TypedDict):
    train: float
    val: float
    test: float


@closed
class SplitCounts(TypedDict):
    train: int | None
    val: int | None
    test: int | None


@closed
class CallRange(TypedDict):
    least: int
    most: Annotated[int | None, Field(description="Null where nobody can say it before the run.")]


@closed
class Estimated(TypedDict):
    least: int | None
    most: Annotated[int | None, Field(description="Null where nobody can say it before the run.")]
    rule: Annotated[str, Field(description="What the range follows from, and when it holds; or why there is none.")]


@closed
class EstimatedStage(TypedDict):
    metric_calls: CallRange
    model_calls: CallRange


@closed
class Estimate(TypedDict):
    """What a job will call, as far as that can be known before it runs."""

    metric_calls: Estimated
    model_calls: Estimated
    tokens: Estimated
    cost_usd: Estimated
    by_stage: Annotated[
        dict[CallStage, EstimatedStage],
        Field(description="The calls of each stage: these add up to the ranges of all."),
    ]
    predictors: Annotated[int | None, Field(description="Of the program; null where only running its code would tell.")]


@closed
class DryRun(TypedDict):
    """The answer to `dry_run=true`."""

    valid: Literal[True]
    split_counts: SplitCounts
    estimate: Estimate
    warnings: Annotated[list[str], Field(description="What is accepted, and may not be meant.")]


Payload = TypeAliasType("Payload", dict[str, Any])
"""A `RunRequest` whose secrets may be empty, which a request's may not."""
Submission = TypeAliasType("Submission", Accepted | DryRun)


@closed
class LogEntry(TypedDict):
    timestamp: Timestamp
    level: str
    logger: str
    message: str


@closed
class PagedLogEntry(LogEntry):
    n: Annotated[int, Field(description="The entry's number, from 1: the next page's `after`.")]


@closed
class ProgressEvent(TypedDict):
    timestamp: Timestamp
    event: str
    metrics: dict[str, Any]


@closed
class PagedProgressEvent(ProgressEvent):
    n: Annotated[int, Field(description="The event's number, from 1: the next page's `after`.")]


@closed
class PredictorChange(TypedDict):
    """What a candidate has otherwise than the program as given. What is very long is cut, and says so."""

    instructions: Annotated[str | None, Field(description="Null where they are as given.")]
    demos: Annotated[list[dict[str, Any]] | None, Field(description="All of them; null where they are as given.")]


@closed
class CandidateInBrief(TypedDict):
    """A program that the search tried, without its texts."""

    n: Annotated[int, Field(description="The candidate's number, from 1: the next page's `after`.")]
    parents: Annotated[
        list[int],
        Field(description="Numbers of those that it was made from; empty: from the program as given, or not known."),
    ]
    at_call: Annotated[int, Field(description="Metric calls of the search when it came.")]
    score: Annotated[float | None, Field(description="0 to 100, on `rows` rows; null where it was not scored.")]
    rows: Annotated[
        int,
        Field(description="Rows that it was scored on. Scores on different rows, or numbers of them, do not compare."),
    ]
    accepted: Annotated[
        bool,
        Field(description="Whether the search kept it: GEPA in its pool, any other optimizer as the best so far."),
    ]


@closed
class Candidate(CandidateInBrief):
    """A program that the search tried."""

    changes: Annotated[
        dict[str, PredictorChange], Field(description="By predictor. Empty for the program as it was given.")
    ]


Candidates = TypeAliasType("Candidates", list[Candidate] | list[CandidateInBrief])
LogEntries = TypeAliasType("LogEntries", list[LogEntry] | list[PagedLogEntry])
ProgressEvents = TypeAliasType("ProgressEvents", list[ProgressEvent] | list[PagedProgressEvent])


@closed
class ProgramArtifact(TypedDict):
    path: str
    program_pickle_base64: Annotated[
        str | None,
        Field(description="`pickle.loads(base64.b64decode(...))` is the program; null for one that cannot be pickled."),
    ]
    metadata: JsonValue
    optimized_prompt: Annotated[str | None, Field(description="Every predictor's instructions and examples, readable.")]
    program_state: Annotated[
        JsonValue, Field(description="State of the optimized program, as `dspy.Module.load_state` takes it.")
    ]
    digests: Annotated[
        dict[str, str], Field(description="Digest of each file, `sha256:<hex>`, as recorded when the run ended.")
    ]
    baseline_state: Annotated[JsonValue, Field(description="The state of the program as it was given.")]
    messages: Annotated[
        Fragment,
        Shows(dict[str, Any] | None),
        Field(description="By predictor, the messages that DSPy sends, with a placeholder for each input."),
    ]
    signature_code: Annotated[
        str | None, Field(description="Source of the signature as it was submitted; null where there is none.")
    ]
    program_code: Annotated[
        str | None, Field(description="Source of the program as it was submitted; null where there is none.")
    ]
    program_files: Annotated[
        Fragment,
        Shows(dict[str, str] | None),
        Field(description="The program's further files by path, as they were submitted."),
    ]
    arguments: Annotated[
        Fragment,
        Shows(dict[str, Any] | None),
        Field(description="The module or class, its `kwargs` and the `adapter`, as they were submitted."),
    ]
    nearest_rows: Annotated[
        Fragment,
        Shows(dict[str, Any] | None),
        Field(description="What a program of KNNFewShot looks up when it runs; null for any other."),
    ]
    joined_programs: Annotated[
        Fragment,
        Shows(dict[str, Any] | None),
        Field(
            description="What dspy.Ensemble joined: `programs`, each with its source, its arguments and its `job_id`, "
            "and the optimizer's `kwargs`; null for any other."
        ),
    ]
    submitted_digests: Annotated[
        dict[str, str],
        Field(
            description="`sha256:<hex>` of what was submitted: `signature`, `metric`, `program`, "
            "`program_files/<path>`, and of the stored `payload`."
        ),
    ]


@closed
class ArtifactAnswer(TypedDict):
    program_artifact_path: str
    program_artifact: ProgramArtifact


@open_ended
class OptimizationMetadata(TypedDict):
    optimizer: str
    optimizer_kwargs: JsonObject
    compile_kwargs: JsonObject
    module_kwargs: JsonObject
    model_identifier: str


@closed
class Comparison(TypedDict):
    """Compares the optimized program with the given one, row by row; differences are in points of 0 to 100."""

    difference: Annotated[float, Field(description="Optimized score minus baseline score.")]
    interval: Annotated[
        list[float] | None,
        Field(description="Low and high: where the true difference lies. Null for scores without bounds."),
    ]
    confidence: Annotated[float | None, Field(description="Share of such intervals that hold the true difference.")]
    method: Annotated[str, Field(description="`student_t_two_pseudo_rows`, `sign_test`, or `none`.")]
    rows: Annotated[int, Field(description="Test rows compared.")]
    won: Annotated[int, Field(description="Rows with a higher score than before.")]
    lost: Annotated[int, Field(description="Rows with a lower score than before.")]
    tied: Annotated[int, Field(description="Rows with the same score as before.")]
    failed_rows: Annotated[int, Field(description="Rows that one of the programs failed on; each counts 0.")]


@closed
class UsageFigures(TypedDict):
    """What model calls took, all attempts together."""

    calls: Annotated[int, Field(description="Calls that a model answered.")]
    cached_calls: Annotated[int, Field(description="Answered from memory or from an earlier attempt's answers.")]
    prompt_tokens: Annotated[int | None, Field(description="Null where no answer told how many.")]
    completion_tokens: Annotated[int | None, Field(description="Null where no answer told how many.")]
    cached_prompt_tokens: Annotated[int, Field(description="Read from a provider's own cache.")]
    reasoning_tokens: Annotated[int, Field(description="Spent on reasoning, among the completion's.")]
    cost_usd: Annotated[float | None, Field(description="Null where the price of a call is not known.")]
    seconds: Annotated[float, Field(description="How long the calls took, added up: many may run at once.")]


@closed
class UsageBreakdown(TypedDict):
    total: UsageFigures
    by_model: Annotated[dict[str, UsageFigures], Field(description="By role, or by the name in `model_configs`.")]
    by_stage: Annotated[
        dict[str, UsageFigures], Field(description="By `preflight`, `baseline`, `optimize` and `final`.")
    ]
    by_predictor: Annotated[
        dict[str, UsageFigures], Field(description="Of the program's predictors; what is left others have called.")
    ]
    calls_unknown: Annotated[int, Field(description="Calls that were sent and whose answers nobody saw.")]


@closed
class FailedRow(TypedDict):
    row: Annotated[int, Field(description="Its place in the dataset as it was submitted, from 0.")]
    error: str


@closed
class FailedRows(TypedDict):
    count: int
    rows: Annotated[list[FailedRow], Field(description="The first failed rows, at most 100.")]


@closed
class ScoreScale(TypedDict):
    """The metric's numbers, with 0 to 1 among them in any case."""

    lowest: float
    highest: float
    perfect_score: Annotated[float, Field(description="What GEPA takes for a score that needs no reflection.")]


@open_ended
class Details(TypedDict):
    train: int | None
    val: int | None
    test: int | None
    baseline_test_metric: float | None
    optimized_test_metric: float | None
    verdict: Verdict | None
    comparison: Comparison | None
    stopped_early: bool
    budget_hit: Annotated[
        BudgetCap | None,
        Field(description="Which cap of the job's budget ended it; null where none did."),
    ]
    usage: UsageBreakdown
    estimate: NotRequired[
        Annotated[
            dict[str, Any] | None,
            Field(
                description="What was said at the submit that the job will call, each range with what came (`actual`) "
                "beside it. Null where nothing was said."
            ),
        ]
    ]
    nothing_tried: NotRequired[
        Annotated[
            str | None,
            Field(description="Why the optimizer scored nothing but the program as given; null where it did."),
        ]
    ]
    failed_rows: NotRequired[
        Annotated[
            dict[Literal["baseline", "optimized"], FailedRows],
            Field(description="For each score, the test rows that program or metric failed on; each counts 0."),
        ]
    ]
    score_scale: NotRequired[
        Annotated[
            ScoreScale | None,
            Field(description="Where the metric returns other numbers than 0 to 1; null where it does not."),
        ]
    ]
    metric_errors: NotRequired[Annotated[int, Field(description="How often the metric failed on a row.")]]
    model_errors: NotRequired[Annotated[int, Field(description="Failed model calls, but for those of the metric.")]]
    model_errors_by_kind: NotRequired[
        Annotated[
            dict[str, int],
            Field(description="Failed model calls by kind, such as `context_too_long` or `rate_limited`."),
        ]
    ]
    candidate_scores: NotRequired[
        Annotated[
            list[tuple[int, float]],
            Field(description="For each candidate scored on the validation rows: metric calls so far, and its score."),
        ]
    ]
    best_so_far: NotRequired[
        Annotated[
            list[tuple[int, float]],
            Field(description="The best score after each of these numbers of metric calls; it never falls."),
        ]
    ]
    candidates_count: NotRequired[
        Annotated[int, Field(description="How many programs the search tried: `/jobs/{job_id}/candidates` has them.")]
    ]
    gold: NotRequired[
        Annotated[
            Literal["typed", "as_sent"],
            Field(description="Whether the metric's gold has the types of the signature, or is as the dataset has it."),
        ]
    ]
    packages: NotRequired[
        Annotated[dict[str, str], Field(description="Python's version, and those of what decides on the outcome.")]
    ]
    dropped_demos: NotRequired[
        Annotated[
            dict[str, int],
            Field(
                description="By predictor, how many demos were dropped before the final score: JSON cannot hold them."
            ),
        ]
    ]
    not_written: NotRequired[
        Annotated[
            dict[str, str],
            Field(description="For each file that could not be written and that the artifact lacks, the reason."),
        ]
    ]


@closed
class RunResponse(TypedDict):
    module_name: str
    optimizer_name: str
    metric_name: str | None
    split_counts: SplitCounts
    baseline_test_metric: Annotated[float | None, Field(description="On DSPy's own scale, 0 to 100.")]
    optimized_test_metric: Annotated[float | None, Field(description="On DSPy's own scale, 0 to 100.")]
    optimization_metadata: Annotated[dict[str, Any], Shows(OptimizationMetadata)]
    details: Annotated[dict[str, Any], Shows(Details)]
    program_artifact_path: str | None
    program_artifact: ProgramArtifact | None
    runtime_seconds: float | None
    run_log: Annotated[Fragment, Shows(list[LogEntry]), Field(description="The same list as `/jobs/{job_id}/logs`.")]


class JobHead(TypedDict):
    """The fields that every answer about a job begins with."""

    job_id: str
    status: StatusWord
    message: str
    created_at: Timestamp
    started_at: Timestamp | None
    completed_at: Timestamp | None


Notice = Annotated[
    str | None, Field(description="What the run waits for, such as a model's rate limit; null while it goes on.")
]

CandidatesCount = Annotated[int, Field(description="How many programs the search has tried so far.")]


RunningSeconds = Annotated[
    float | None,
    Field(
        description="Seconds since `started_at`, in whole ones while the job goes on; at its end as `elapsed_seconds`."
    ),
]
BestScore = Annotated[
    float | None,
    Field(
        description="Best score of a full evaluation so far, 0 to 100. It is not on the test rows, so it cannot be "
        "compared with the test scores: see `best_score_on`."
    ),
]


@closed
class BudgetCaps(TypedDict, total=False):
    """At a cap the search ends with the best program so far."""

    metric_calls: float
    model_calls: float
    tokens: float
    cost_usd: float
    seconds: float


class AskedFor(TypedDict):
    """What the job's submitter chose, beside what the contract's original answers say."""

    adapter: Annotated[Adapter, Field(description="DSPy's adapter.")]
    split_column: Annotated[
        str | None,
        Field(description="The column in which rows say where they belong; null where `split_fractions` split them."),
    ]
    budget: Annotated[Fragment, Shows(BudgetCaps | None), Field(description="The job's caps; null where it has none.")]


class BestSoFar(TypedDict):
    """What the search has found so far, and on which rows."""

    best_score: BestScore
    best_score_on: Annotated[
        ScoredOn | None,
        Field(
            description="The rows of the best score: `validation`, or `training` where the optimizer takes no other."
        ),
    ]
    best_score_rows: Annotated[int | None, Field(description="How many rows the best score is on.")]
    best_score_at_call: Annotated[
        int | None,
        Field(
            description="Metric calls of the run, the baseline's among them, when it was found; as in `best_so_far` of "
            "the result's details."
        ),
    ]


@closed
class JobDetail(JobHead, BestSoFar, AskedFor):
    running_seconds: RunningSeconds
    latest_metrics: JsonObject
    progress_events: Annotated[Fragment, Shows(list[ProgressEvent])]
    logs: Annotated[Fragment, Shows(list[LogEntry])]
    estimated_seconds_remaining: float | None
    result: Annotated[Fragment | None, Shows(RunResponse | None), Field(description="Null until the job has ended.")]
    notice: Notice
    usage: UsageFigures
    candidates_count: CandidatesCount


@closed
class JobSummary(JobHead, BestSoFar, AskedFor):
    elapsed_seconds: Annotated[float | None, Field(description="Null until the job has ended.")]
    running_seconds: RunningSeconds
    estimated_seconds_remaining: float | None
    module_name: str
    optimizer_name: str
    dataset_rows: Annotated[
        int | None, Field(description="Null while the rows behind a reference are not counted yet.")
    ]
    split_fractions: JobSplitFractions
    shuffle: bool
    seed: Annotated[int, Field(description="Seed of the shuffle: the one given, or the one drawn for the job.")]
    optimizer_kwargs: JsonObject
    compile_kwargs: JsonObject
    latest_metrics: JsonObject
    notice: Notice
    verdict: Annotated[
        Verdict | None,
        Field(description="Whether the optimized program is the better one. Null until both were scored."),
    ]
    usage: UsageFigures
    name: Annotated[
        str | None,
        Field(description="What people call it: run_options.name, or the name of a resource made with kubectl."),
    ]
    note: Annotated[str | None, Field(description="Its submitter's.")]
    candidates_count: CandidatesCount
    model_name: Annotated[str, Field(description="Of the model that the program asks, as the job names it.")]
    comparison: Annotated[Comparison | None, Field(description="The verdict's evidence. Null until both were scored.")]
    paused: Annotated[bool, Field(description="Whether the job waits to be resumed, or is about to.")]


@closed
class JobList(TypedDict):
    jobs: list[JobSummary]
    next_cursor: Annotated[
        str | None, Field(description="Pass it as `cursor` to list older jobs; null on the last page.")
    ]
    total: Annotated[
        int | None,
        Field(
            description="How many jobs there are on all pages together; null where more is asked for than a status, "
            "since every job would have to be looked at."
        ),
    ]


@closed
class RowAnswer(TypedDict):
    prediction: Annotated[dict[str, Any] | None, Field(description="Null where the program failed.")]
    score: Annotated[
        float | None, Field(description="The metric's own number; null for a row that failed: it counts 0.")
    ]
    error: Annotated[str | None, Field(description="Why the program or the metric failed on the row.")]


@closed
class ScoredRow(TypedDict):
    n: Annotated[int, Field(description="The row's place in the dataset, from 0: the next page's `after`.")]
    outcome: Annotated[
        Literal["won", "lost", "tied"] | None,
        Field(description="Whether the optimized program's score is higher, or lower; null where there is none."),
    ]
    inputs: dict[str, Any]
    gold: dict[str, Any]
    baseline: RowAnswer
    optimized: Annotated[RowAnswer | None, Field(description="Null where nothing was optimized.")]


ScoredRows = TypeAliasType("ScoredRows", list[ScoredRow])


@closed
class RegisteredAssets(TypedDict):
    modules: list[str]
    optimizers: list[str]


@closed
class Health(TypedDict):
    status: Literal["ok"]
    registered_assets: RegisteredAssets


@closed
class CatalogueArgument(TypedDict):
    name: str
    required: bool
    default: Annotated[Any, Field(description="The argument's default; null too where the default is no JSON value.")]
    types: Annotated[list[str], Field(description="JSON types that it takes; empty: any. `object` is no JSON value.")]
    choices: list[Any]
    least: Annotated[int | None, Field(description="The least number that it takes; null where none is known.")]
    description: Annotated[
        str | None, Field(description="What it means, in dspy's own words; null where dspy says nothing of it.")
    ]
    set_by_service: Annotated[
        str | None, Field(description="Where the service takes its value from: a request that gives it is refused.")
    ]
    refused: Annotated[str | None, Field(description="Why a job cannot give this argument; null where it can.")]


class Nameable(TypedDict):
    """What a job may name, and the arguments of its constructor."""

    path: str
    paths: Annotated[list[str], Field(description="All dotted paths by which a job may name it.")]
    aliases: list[str]
    refused: Annotated[
        str | None,
        Field(
            description="Why no job can name it; null where a job can. A program of the job's own can use any module."
        ),
    ]
    arguments: Annotated[
        list[CatalogueArgument], Field(description="Given as `module_kwargs`, or as `optimizer_kwargs`.")
    ]
    further_arguments: Annotated[bool, Field(description="Whether the constructor takes further arguments as well.")]


@closed
class CatalogueModule(Nameable):
    predictors: Annotated[
        int | None, Field(description="How many predictors it makes; null where that depends on how it is used.")
    ]


@closed
class CatalogueOptimizer(Nameable):
    compile_arguments: Annotated[
        list[CatalogueArgument], Field(description="Arguments of its compile method, given as `compile_kwargs`.")
    ]


@closed
class Catalogue(TypedDict):
    python: Annotated[str, Field(description="The version of Python that jobs run with.")]
    packages: Annotated[
        dict[str, str], Field(description="Versions of what is installed where jobs run, by normalized names.")
    ]
    modules: list[CatalogueModule]
    optimizers: list[CatalogueOptimizer]


@closed
class RecordKept(TypedDict):
    detail: str
    code: Literal["record_kept"]
    finalizers: Annotated[
        list[str],
        Field(description="They keep the record. Whoever put one there removes it; the record goes with the last."),
    ]


@closed
class Error(TypedDict):
    detail: str
    code: Annotated[str, Field(description="Kind of the error in one word, which does not change; new kinds may come.")]
    status: NotRequired[Annotated[StatusWord, Field(description="Status of the job, with the code job_ended.")]]


@closed
class FieldProblem(TypedDict):
    field: Annotated[str, Field(description="Dotted path as in `dataset[0].text`.")]
    message: str
    type: str


@closed
class InvalidRequest(TypedDict):
    error: Literal["invalid_request"]
    detail: list[FieldProblem]
    code: Literal["invalid_request"]


ANSWERS: tuple[Any, ...] = (
    Submission,
    Payload,
    JobDetail,
    JobSummary,
    JobList,
    LogEntries,
    ProgressEvents,
    Candidates,
    ScoredRows,
    ArtifactAnswer,
    RecordKept,
    Health,
    Catalogue,
    Error,
    InvalidRequest,
)
"""What the routes answer. Each is a component of the OpenAPI document under its own name, and so are its parts."""


def reference(answer: Any) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{answer.__name__}"}


@cache
def components() -> dict[str, Any]:
    """Each schema of the answers by its name."""
    mode: Literal["serialization"] = "serialization"
    wanted = [(answer.__name__, mode, TypeAdapter(answer)) for answer in ANSWERS]
    _, found = TypeAdapter.json_schemas(wanted, ref_template="#/components/schemas/{model}")
    schemas: dict[str, Any] = found["$defs"]
    return schemas
