"""A job, in detail, in summary and in a list."""

from typing import Annotated, Literal

from orjson import Fragment
from pydantic import Field
from typing_extensions import TypedDict

from dspy_service_api.answers.schemas.results import Comparison, RunResponse, UsageFigures
from dspy_service_api.answers.schemas.shapes import JsonObject, Shows, Timestamp, closed
from dspy_service_api.answers.schemas.submits import JobSplitFractions
from dspy_service_api.answers.schemas.transcripts import LogEntry, ProgressEvent
from dspy_service_core.records.run import ScoredOn, Verdict
from dspy_service_core.resource.adapters import Adapter
from dspy_service_core.resource.status import StatusWord


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
class RecordKept(TypedDict):
    detail: str
    code: Literal["record_kept"]
    finalizers: Annotated[
        list[str],
        Field(description="They keep the record. Whoever put one there removes it; the record goes with the last."),
    ]
