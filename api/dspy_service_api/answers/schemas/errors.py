"""Answers that are errors."""

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from dspy_service_api.answers.schemas.shapes import closed
from dspy_service_core.resource.status import StatusWord


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
