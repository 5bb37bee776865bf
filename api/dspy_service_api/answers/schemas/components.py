"""The declarations of all answers as schemas of the OpenAPI document."""

from functools import cache
from typing import Any, Literal

from pydantic import TypeAdapter

from dspy_service_api.answers.schemas.errors import Error, InvalidRequest
from dspy_service_api.answers.schemas.jobs import JobDetail, JobList, JobSummary, RecordKept
from dspy_service_api.answers.schemas.results import ArtifactAnswer, ScoredRows
from dspy_service_api.answers.schemas.service import Catalogue, Health
from dspy_service_api.answers.schemas.submits import Payload, Submission
from dspy_service_api.answers.schemas.transcripts import Candidates, LogEntries, ProgressEvents

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
