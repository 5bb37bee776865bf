"""What can go wrong between a program and the service, as one tree. The service's `code` says which it is.

DspyServiceError
├── ServiceUnreachable       no connection, or none that lasted, after all retries
│   └── ServiceUnavailable   busy, cluster_unavailable, store_unavailable, ...: `retry_after` in seconds
├── RefusedRequest           the service will not take it, however often it is sent
│   ├── InvalidPayload       invalid_request: `problems`, each a field, a message and a type
│   ├── UnusablePayload      unusable_request, resource_refused: what the payload names cannot be used
│   ├── PayloadTooLarge      body_too_large
│   ├── NotAllowed           not_authenticated, forbidden, foreign_host, foreign_origin: a token is missing or wrong
│   ├── NameTaken            name_taken: another job is called so
│   └── IdempotencyConflict  idempotency_conflict: the same Idempotency-Key came with another body
├── UnknownJob               unknown_job
├── AmbiguousJob             what was typed may mean several jobs: `matches` are their ids
├── NotFinished              not_finished, no_best_yet: there is no artifact yet
├── JobEnded                 job_ended: it has ended, or is being cancelled, and cannot be stopped or paused any more
├── NoArtifact               no_artifact: the job ended without one
├── NoPayload                no_payload: what was submitted of the job cannot be told
├── JobFailed                the job ended as failed or cancelled; raised only by what is asked to raise it
├── DamagedArtifact          what arrived is not what was sent
├── UnusableSource           no source text can be had of a Python object
├── UnusableObject           something given cannot be carried to a job: `place` is what it was given as
├── UnfitState               a program state is of another program
├── UnusableValue            a value has no form in JSON: `place` is where it stands, such as `dataset[7].price`
└── UnexpectedAnswer         anything that the contract does not foresee
"""

from dataclasses import dataclass


class DspyServiceError(Exception):
    """Catching it catches whatever this package raises itself."""

    code: str = ""
    """The service's own word, where one came: the table in docs/api.md."""


class ServiceUnreachable(DspyServiceError):
    pass


class ServiceUnavailable(ServiceUnreachable):
    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RefusedRequest(DspyServiceError):
    pass


@dataclass(frozen=True, slots=True)
class FieldProblem:
    field: str
    message: str
    type: str = ""


class InvalidPayload(RefusedRequest):
    def __init__(self, problems: tuple[FieldProblem, ...]) -> None:
        super().__init__("\n".join(f"{p.field}: {p.message}" for p in problems))
        self.problems = problems


class UnusablePayload(RefusedRequest):
    pass


class PayloadTooLarge(RefusedRequest):
    pass


class NotAllowed(RefusedRequest):
    pass


class NameTaken(RefusedRequest):
    pass


class IdempotencyConflict(RefusedRequest):
    pass


class UnknownJob(DspyServiceError):
    pass


class AmbiguousJob(DspyServiceError):
    def __init__(self, message: str, typed: str, matches: tuple[str, ...]) -> None:
        super().__init__(message)
        self.typed = typed
        self.matches = matches


class NotFinished(DspyServiceError):
    pass


class JobEnded(DspyServiceError):
    pass


class NoArtifact(DspyServiceError):
    pass


class NoPayload(DspyServiceError):
    pass


class JobFailed(DspyServiceError):
    def __init__(self, job_id: str, status: str, message: str) -> None:
        super().__init__(f"Job '{job_id}' is {status}: {message}")
        self.job_id = job_id
        self.status = status


class DamagedArtifact(DspyServiceError):
    pass


class UnusableSource(DspyServiceError):
    pass


class UnusableObject(DspyServiceError):
    def __init__(self, place: str, said: str) -> None:
        super().__init__(f"{place} {said}")
        self.place = place


class UnfitState(DspyServiceError):
    pass


class UnusableValue(DspyServiceError):
    def __init__(self, place: str, said: str) -> None:
        super().__init__(f"{place or 'The value'} {said}")
        self.place = place


class UnexpectedAnswer(DspyServiceError):
    pass
