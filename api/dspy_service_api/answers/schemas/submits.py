"""What `POST /run` answers, with and without running it."""

from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypeAliasType, TypedDict

from dspy_service_api.answers.schemas.shapes import closed
from dspy_service_core.records.usage import CallStage


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
