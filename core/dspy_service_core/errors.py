"""Errors of the domain. They know nothing of HTTP: the API's table (`http/problems.py`) maps them to answers.

ServiceError
├── InvalidRequest       the payload's shape: a list of (field, message, type)
├── UnusableRequest      the shape is right, but what it names cannot be used
├── JobNotFound
├── JobNotFinished
│   └── NoBestYet        its search has found nothing to show
├── JobEnded             it has ended, or is being cancelled, and cannot be controlled any more
├── NoArtifact
├── NameTaken            another job is called so
├── NoPayload            what was submitted is not the API's to read, or gone
├── IdempotencyConflict  the same key came with another body
├── StoreError           the store is out of reach, or holds something broken
└── ClusterUnavailable   the API server is out of reach
"""

from dataclasses import dataclass


class ServiceError(Exception):
    """Base class of all errors that this service raises itself."""


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """`field` is a dotted path as the client wrote it, such as `dataset[0].text`; `type` is a stable word."""

    field: str
    message: str
    type: str


class InvalidRequest(ServiceError):
    def __init__(self, problems: list[FieldProblem]) -> None:
        super().__init__("; ".join(f"{p.field}: {p.message}" for p in problems))
        self.problems = problems


class UnusableRequest(ServiceError):
    """The message names the offending thing and what is allowed."""


class JobNotFound(ServiceError):
    def __init__(self, job_id: str, field: str = "") -> None:
        """`field`: the request's field that names the job, if the request is not about the job itself."""
        super().__init__(f"{field}: Unknown job '{job_id}'." if field else f"Unknown job '{job_id}'.")
        self.job_id = job_id


class JobNotFinished(ServiceError):
    def __init__(self) -> None:
        super().__init__("Job has not finished yet.")


class NoBestYet(JobNotFinished):
    def __init__(self) -> None:
        ServiceError.__init__(self, "The search has scored no other program than the given one yet.")


class JobEnded(ServiceError):
    """`status` is the job's word."""

    def __init__(self, status: str, *, being_cancelled: bool = False) -> None:
        super().__init__("The job is being cancelled." if being_cancelled else f"The job has ended already: {status}.")
        self.status = status


class NoArtifact(ServiceError):
    def __init__(self) -> None:
        super().__init__("Job did not produce an artifact.")


class NoRows(NoArtifact):
    def __init__(self) -> None:
        ServiceError.__init__(self, "Job kept no results of its test rows.")


class NoPayload(ServiceError):
    """What was submitted cannot be told; the message says why."""


class IdempotencyConflict(ServiceError):
    def __init__(self, key: str) -> None:
        super().__init__(f"Idempotency-Key '{key}' was used with another body; use a new key for a new request.")


class NameTaken(ServiceError):
    def __init__(self, name: str) -> None:
        super().__init__(
            f"run_options.name: another job is called '{name}'. Choose another name; one that was given over HTTP is "
            "free again when its job has ended."
        )


class StoreError(ServiceError):
    """Reading or writing the store failed; the message never holds credentials."""


class ClusterUnavailable(ServiceError):
    """The Kubernetes API server did not answer; `uncertain` means that the last write may have taken effect."""

    def __init__(self, message: str, *, uncertain: bool = False) -> None:
        super().__init__(message)
        self.uncertain = uncertain
