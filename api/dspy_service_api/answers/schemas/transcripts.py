"""Log, events and candidates: what a run told of itself."""

from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypeAliasType, TypedDict

from dspy_service_api.answers.schemas.shapes import Timestamp, closed


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
