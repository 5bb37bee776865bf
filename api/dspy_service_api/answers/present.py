"""Builds the contract's answers from records, transcripts and artifacts. Pure: it reads nothing but the clock.

The fields are declared in `schemas`; the type checker holds every dict that is built here to them.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from orjson import Fragment

from dspy_service_api.answers.schemas.jobs import (
    AskedFor,
    BestSoFar,
    JobDetail,
    JobHead,
    JobList,
    JobSummary,
    RecordKept,
)
from dspy_service_api.answers.schemas.results import (
    ArtifactAnswer,
    Comparison,
    OptimizationMetadata,
    ProgramArtifact,
    RowAnswer,
    RunResponse,
    ScoredRow,
    UsageBreakdown,
    UsageFigures,
)
from dspy_service_api.answers.schemas.service import Health
from dspy_service_api.answers.schemas.submits import Accepted, JobSplitFractions, SplitCounts
from dspy_service_api.jobs.artifact import Artifact
from dspy_service_api.jobs.record import JobRecord, Json
from dspy_service_api.jobs.rows import ProgramAnswer, RowResult
from dspy_service_core.records import usage, verdicts
from dspy_service_core.records.run import ResultDocument
from dspy_service_core.resource.conditions import SUCCEEDED_MESSAGE, succeeded_message
from dspy_service_core.resource.splits import counts

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


def accepted(job_id: str) -> Json:
    answer: Accepted = {"job_id": job_id, "status": "pending", "estimated_remaining_seconds": None}
    return orjson.dumps(answer)


def health(assets: Mapping[str, list[str]]) -> Json:
    answer: Health = {
        "status": "ok",
        "registered_assets": {"modules": assets["modules"], "optimizers": assets["optimizers"]},
    }
    return orjson.dumps(answer)


def record_kept(finalizers: Sequence[str]) -> Json:
    detail = f"The job is stopped; its record stays until its finalizers are removed: {', '.join(finalizers)}."
    answer: RecordKept = {"detail": detail, "code": "record_kept", "finalizers": list(finalizers)}
    return orjson.dumps(answer)


def summary(record: JobRecord, position: int, now: Clock = utc_now) -> Json:
    return orjson.dumps(summary_fields(record, position, now))


def summary_fields(record: JobRecord, position: int, now: Clock = utc_now) -> JobSummary:
    return {
        **_head(record, position),
        **_best_so_far(record),
        **_asked_for(record),
        "elapsed_seconds": elapsed_seconds(record),
        "running_seconds": running_seconds(record, now),
        "estimated_seconds_remaining": _remaining(record),
        "module_name": record.module_name,
        "optimizer_name": record.optimizer_name,
        "dataset_rows": record.dataset_rows,
        "split_fractions": _fractions(record),
        "shuffle": record.shuffle,
        "seed": record.seed,
        "optimizer_kwargs": Fragment(record.optimizer_kwargs),
        "compile_kwargs": Fragment(record.compile_kwargs),
        "latest_metrics": Fragment(record.metrics),
        "notice": record.notice or None,
        "verdict": record.end.verdict if record.end else None,
        "usage": _usage(record),
        "name": record.called or None,
        "note": record.note or None,
        "candidates_count": record.candidates.count,
        "model_name": record.model_name,
        "comparison": _comparison(record),
        "paused": record.suspended and not record.finished,
    }


def _comparison(record: JobRecord) -> Comparison | None:
    found = record.end.comparison if record.end and record.keeps_result else None
    told: Comparison | None = verdicts.told(found) if found else None  # type: ignore[assignment]  # declared alike
    return told


def listing(summaries: list[JobSummary], next_cursor: str | None, total: int | None) -> Json:
    answer: JobList = {"jobs": summaries, "next_cursor": next_cursor, "total": total}
    return orjson.dumps(answer)


def detail(
    record: JobRecord, position: int, events: Json, logs: Json, result: Json | None, now: Clock = utc_now
) -> Json:
    answer: JobDetail = {
        **_head(record, position),
        **_best_so_far(record),
        **_asked_for(record),
        "running_seconds": running_seconds(record, now),
        "latest_metrics": Fragment(record.metrics),
        "progress_events": Fragment(events),
        "logs": Fragment(logs),
        "estimated_seconds_remaining": _remaining(record),
        "result": None if result is None else Fragment(result),
        "notice": record.notice or None,
        "usage": _usage(record),
        "candidates_count": record.candidates.count,
    }
    return orjson.dumps(answer)


def artifact(found: Artifact) -> Json:
    answer: ArtifactAnswer = {"program_artifact_path": found.path, "program_artifact": _bundle(found)}
    return orjson.dumps(answer)


def rows(found: Sequence[RowResult]) -> Json:
    answer: list[ScoredRow] = [
        {
            "n": row.n,
            "outcome": row.outcome,
            "inputs": row.inputs,
            "gold": row.gold,
            "baseline": _row_answer(row.baseline),
            "optimized": None if row.optimized is None else _row_answer(row.optimized),
        }
        for row in found
    ]
    return orjson.dumps(answer)


def _row_answer(answer: ProgramAnswer) -> RowAnswer:
    return {"prediction": answer.prediction, "score": answer.score, "error": answer.error}


def run_response(record: JobRecord, file: ResultDocument | None, found: Artifact | None, logs: Json) -> Json:
    """It has the same shape after a failure: null metrics, no artifact, and the run's log."""
    end = record.end if record.keeps_result else None
    splits = _splits(record)
    baseline, optimized = (end.baseline_score, end.optimized_score) if end else (None, None)
    comparison = end.comparison if end else None
    told: dict[str, Any] = {
        **splits,
        "baseline_test_metric": baseline,
        "optimized_test_metric": optimized,
        "verdict": end.verdict if end else None,
        "comparison": verdicts.told(comparison) if comparison else None,
        "stopped_early": bool(record.end and record.end.stopped_early),
        "budget_hit": record.end.budget_hit if record.end else None,
        "usage": _usage_of_all(record, file),
    }
    answer: RunResponse = {
        "module_name": record.module_name,
        "optimizer_name": record.optimizer_name,
        "metric_name": (file and file.metric_name) or record.metric_name,
        "split_counts": splits,
        "baseline_test_metric": baseline,
        "optimized_test_metric": optimized,
        "optimization_metadata": _metadata(record, file),
        "details": (file.details if file else {}) | told,
        "program_artifact_path": found.path if found else None,
        "program_artifact": _bundle(found) if found else None,
        "runtime_seconds": record.end.runtime_seconds if record.end else elapsed_seconds(record),
        "run_log": Fragment(logs),
    }
    return orjson.dumps(answer)


def _head(record: JobRecord, position: int) -> JobHead:
    return {
        "job_id": record.job_id,
        "status": record.status,
        "message": message(record, position),
        "created_at": record.created_at,
        "started_at": record.started_at,
        "completed_at": record.completed_at,
    }


def message(record: JobRecord, position: int) -> str:
    match record.status:
        case "success":
            if record.end and (evaluated := verdicts.evaluated(record.end)):
                return evaluated
            return (
                succeeded_message(record.end.stopped_early, record.end.budget_hit) if record.end else SUCCEEDED_MESSAGE
            )
        case "running":
            return record.message or "Running."
        case "pending":
            return _waiting(record, position)
        case "validating":
            return record.message or "Checking the program, the metric and the models."
        case "cancelled":
            return record.message or "The job was cancelled."
        case _:
            return record.message or "The job failed and left no message."


def elapsed_seconds(record: JobRecord) -> float | None:
    """None until the job ends; 0 for a job that ended before it started."""
    if not record.completed_at:
        return None
    if not record.started_at:
        return 0.0
    between = datetime.fromisoformat(record.completed_at) - datetime.fromisoformat(record.started_at)
    return max(between.total_seconds(), 0.0)


def running_seconds(record: JobRecord, now: Clock) -> float | None:
    """None before the start. It counts in whole seconds, so that a client that asks more often than that is told when
    nothing else has changed (304)."""
    if record.finished or not record.started_at:
        return elapsed_seconds(record)
    return float(max((now() - datetime.fromisoformat(record.started_at)) // timedelta(seconds=1), 0))


def _best_so_far(record: JobRecord) -> BestSoFar:
    its = record.progress
    return {
        "best_score": its.best_score,
        "best_score_on": its.best_score_on,
        "best_score_rows": its.best_score_rows,
        "best_score_at_call": its.best_score_at_call,
    }


def _asked_for(record: JobRecord) -> AskedFor:
    return {"adapter": record.adapter, "split_column": record.split_column or None, "budget": Fragment(record.budget)}


def _usage(record: JobRecord) -> UsageFigures:
    figures: UsageFigures = usage.told(record.usage)  # type: ignore[assignment]  # declared alike; a test holds it to that
    return figures


def _usage_of_all(record: JobRecord, file: ResultDocument | None) -> UsageBreakdown:
    """As the run told it; of a run that left no result, the total that the status has."""
    if file and isinstance(found := file.details.get("usage"), dict):
        told: UsageBreakdown = found  # type: ignore[assignment]  # `call_lines.breakdown` made it, declared alike
        return told
    unknown = record.usage.calls_unknown
    return {
        "total": _usage(record),
        "by_model": {},
        "by_stage": {},
        "by_predictor": {},
        "calls_unknown": unknown,
    }


def _waiting(record: JobRecord, position: int) -> str:
    """The position comes from the API's own queue, since the operator writes it into the status only rarely."""
    if position:
        return f"Waiting to start, at position {position} of the queue."
    return record.message or ("Suspended." if record.suspended else "Starting.")


def _remaining(record: JobRecord) -> float | None:
    return record.progress.eta_seconds if record.status == "running" else None


def _fractions(record: JobRecord) -> JobSplitFractions:
    fractions = record.fractions
    return {"train": fractions.train, "val": fractions.val, "test": fractions.test}


def _splits(record: JobRecord) -> SplitCounts:
    """As the run counted them; before the run has told, computed from the rows and fractions."""
    if record.end and (told := record.end.split_counts):
        return {"train": told.train, "val": told.val, "test": told.test}
    if record.dataset_rows is None:
        return {"train": None, "val": None, "test": None}
    reckoned = counts(record.dataset_rows, record.fractions)
    return {"train": reckoned.train, "val": reckoned.val, "test": reckoned.test}


def _metadata(record: JobRecord, file: ResultDocument | None) -> dict[str, Any]:
    """What the run reported wins over the spec, because it tells what the optimizer really got."""
    known: OptimizationMetadata = {
        "optimizer": record.optimizer_name,
        "optimizer_kwargs": Fragment(record.optimizer_kwargs),
        "compile_kwargs": Fragment(record.compile_kwargs),
        "module_kwargs": Fragment(record.module_kwargs),
        "model_identifier": (file and file.model_identifier) or record.model_name,
    }
    return {**known, **(file.metadata if file else {})}


def _bundle(found: Artifact) -> ProgramArtifact:
    return {
        "path": found.path,
        "program_pickle_base64": found.pickle_base64,
        "metadata": Fragment(found.metadata),
        "optimized_prompt": found.prompt,
        "program_state": Fragment(found.state),
        "digests": dict(found.digests),
        "baseline_state": Fragment(found.baseline_state),
        "messages": Fragment(found.messages),
        "signature_code": found.signature_code,
        "program_code": found.program_code,
        "program_files": Fragment(found.program_files),
        "arguments": Fragment(found.arguments),
        "nearest_rows": Fragment(found.nearest_rows),
        "joined_programs": Fragment(found.joined_programs),
        "submitted_digests": dict(found.submitted),
    }
