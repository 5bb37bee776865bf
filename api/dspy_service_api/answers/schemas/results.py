"""What a run came to: its program, its scores, what they rest on, and what it took."""

from typing import Annotated, Any, Literal, NotRequired

from orjson import Fragment
from pydantic import Field
from typing_extensions import TypeAliasType, TypedDict

from dspy_service_api.answers.schemas.shapes import JsonObject, JsonValue, Shows, closed, open_ended
from dspy_service_api.answers.schemas.submits import SplitCounts
from dspy_service_api.answers.schemas.transcripts import LogEntry
from dspy_service_core.records.run import BudgetCap, Verdict


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
