"""What users may import is a promise: this list changes only on purpose."""

import dspy_service
from dspy_service import errors

EXPORTED = [
    "Accepted",
    "AmbiguousJob",
    "Argument",
    "Artifact",
    "Assets",
    "AsyncClient",
    "AsyncOptimization",
    "CallRange",
    "Candidate",
    "Catalogue",
    "CatalogueModule",
    "CatalogueOptimizer",
    "Change",
    "Client",
    "Comparison",
    "DamagedArtifact",
    "DryRun",
    "DspyServiceError",
    "Ended",
    "Estimate",
    "Estimated",
    "EstimatedStage",
    "Event",
    "FieldProblem",
    "Health",
    "IdempotencyConflict",
    "InvalidPayload",
    "Job",
    "JobEnded",
    "JobFailed",
    "JobPage",
    "LogEntry",
    "NameTaken",
    "NoArtifact",
    "NoPayload",
    "NotAllowed",
    "NotFinished",
    "Parts",
    "PayloadTooLarge",
    "Optimization",
    "PredictorChange",
    "ProgramAnswer",
    "RecordKept",
    "RefusedRequest",
    "Result",
    "Retries",
    "Row",
    "ServiceUnavailable",
    "ServiceUnreachable",
    "SplitCounts",
    "SplitFractions",
    "Summary",
    "UnexpectedAnswer",
    "UnfitState",
    "UnknownJob",
    "UnusableDataset",
    "UnusableObject",
    "UnusablePayload",
    "UnusableSource",
    "UnusableValue",
    "Update",
    "Usage",
    "build_payload",
    "fill_messages",
    "load_program",
    "load_state",
    "read_rows",
]


def test_the_exported_names() -> None:
    assert sorted(dspy_service.__all__) == sorted(EXPORTED)
    assert all(hasattr(dspy_service, name) for name in EXPORTED)


def test_every_error_is_exported_and_drawn_in_the_tree() -> None:
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, errors.DspyServiceError)]
    for kind in kinds:
        assert kind.__name__ in EXPORTED
        assert kind.__name__ in (errors.__doc__ or "")
