from .answers import (
    Accepted as Accepted,
    Argument as Argument,
    Artifact as Artifact,
    Assets as Assets,
    CallRange as CallRange,
    Candidate as Candidate,
    Catalogue as Catalogue,
    CatalogueModule as CatalogueModule,
    CatalogueOptimizer as CatalogueOptimizer,
    Comparison as Comparison,
    DryRun as DryRun,
    Estimate as Estimate,
    Estimated as Estimated,
    EstimatedStage as EstimatedStage,
    Event as Event,
    Health as Health,
    Job as Job,
    JobPage as JobPage,
    LogEntry as LogEntry,
    PredictorChange as PredictorChange,
    ProgramAnswer as ProgramAnswer,
    RecordKept as RecordKept,
    Result as Result,
    Row as Row,
    SplitCounts as SplitCounts,
    SplitFractions as SplitFractions,
    Summary as Summary,
    Usage as Usage,
)
from .async_client import AsyncClient as AsyncClient
from .build import build_payload as build_payload
from .client import Client as Client
from .errors import (
    AmbiguousJob as AmbiguousJob,
    DamagedArtifact as DamagedArtifact,
    DspyServiceError as DspyServiceError,
    FieldProblem as FieldProblem,
    IdempotencyConflict as IdempotencyConflict,
    InvalidPayload as InvalidPayload,
    JobEnded as JobEnded,
    JobFailed as JobFailed,
    NameTaken as NameTaken,
    NoArtifact as NoArtifact,
    NoPayload as NoPayload,
    NotAllowed as NotAllowed,
    NotFinished as NotFinished,
    PayloadTooLarge as PayloadTooLarge,
    RefusedRequest as RefusedRequest,
    ServiceUnavailable as ServiceUnavailable,
    ServiceUnreachable as ServiceUnreachable,
    UnexpectedAnswer as UnexpectedAnswer,
    UnfitState as UnfitState,
    UnknownJob as UnknownJob,
    UnusableObject as UnusableObject,
    UnusablePayload as UnusablePayload,
    UnusableSource as UnusableSource,
    UnusableValue as UnusableValue,
)
from .files.rebuild import load_program as load_program
from .optimization import AsyncOptimization as AsyncOptimization, Ended as Ended, Optimization as Optimization
from .payload.rows import UnusableDataset as UnusableDataset, read_rows as read_rows
from .program_states import Change as Change, load_state as load_state
from .prompts import Parts as Parts, fill_messages as fill_messages
from .watching import Update as Update
from .wire.retries import Retries as Retries
