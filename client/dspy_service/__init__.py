"""Python client of dspy-service.

with Client() as client:
    job_id = client.submit(build_payload(signature=Route, metric=metric, rows=rows, ...)).job_id
    for update in client.watch(job_id):
        print(update.summary.status, update.summary.latest_metrics)
    client.download(job_id, "better-program")
"""

from .answers import (
    Accepted,
    Artifact,
    Assets,
    Event,
    Health,
    Job,
    JobPage,
    LogEntry,
    RecordKept,
    Result,
    SplitCounts,
    SplitFractions,
    Summary,
)
from .async_client import AsyncClient
from .client import Client
from .errors import (
    DamagedArtifact,
    DspyServiceError,
    FieldProblem,
    IdempotencyConflict,
    InvalidPayload,
    JobFailed,
    NoArtifact,
    NotAllowed,
    NotFinished,
    PayloadTooLarge,
    RefusedRequest,
    ServiceUnavailable,
    ServiceUnreachable,
    UnexpectedAnswer,
    UnknownJob,
    UnusablePayload,
    UnusableSource,
)
from .payload import build_payload
from .retries import Retries
from .rows import UnusableDataset, read_rows
from .watching import Update

__all__ = [
    "Accepted",
    "Artifact",
    "Assets",
    "AsyncClient",
    "Client",
    "DamagedArtifact",
    "DspyServiceError",
    "Event",
    "FieldProblem",
    "Health",
    "IdempotencyConflict",
    "InvalidPayload",
    "Job",
    "JobFailed",
    "JobPage",
    "LogEntry",
    "NoArtifact",
    "NotAllowed",
    "NotFinished",
    "PayloadTooLarge",
    "RecordKept",
    "RefusedRequest",
    "Result",
    "Retries",
    "ServiceUnavailable",
    "ServiceUnreachable",
    "SplitCounts",
    "SplitFractions",
    "Summary",
    "UnexpectedAnswer",
    "UnknownJob",
    "UnusableDataset",
    "UnusablePayload",
    "UnusableSource",
    "Update",
    "build_payload",
    "read_rows",
]
