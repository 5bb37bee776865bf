"""The rows of a score on which program or metric failed: how they are reported, and when they are too many."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from dspy_service_runner.optimizer.failures import JobFailed
from dspy_service_runner.optimizer.run.evaluation import Evaluation, RowOutcome
from dspy_service_runner.optimizer.user_code.metrics.failing_rows import listed


def document(evaluation: Evaluation, most: int) -> dict[str, Any]:
    """The failed rows in the form that the result's `details` have."""
    failed = evaluation.failed_rows
    return {"count": len(failed), "rows": [{"row": row.n, "error": row.error} for row in failed[:most]]}


def said(evaluation: Evaluation) -> str:
    return f"{len(evaluation.failed_rows)} of {len(evaluation.rows)} test rows failed and count as 0"


def too_many(evaluation: Evaluation, share: Decimal) -> JobFailed | None:
    failed = evaluation.failed_rows
    if len(failed) <= share * len(evaluation.rows):
        return None
    failure = _failure(evaluation, failed, share)
    failure.__cause__ = evaluation.first_error
    return failure


def _failure(evaluation: Evaluation, failed: Sequence[RowOutcome], share: Decimal) -> JobFailed:
    if not any(row.answered for row in evaluation.rows):
        return JobFailed("ProgramFailed", f"The program failed on every row: {failed[0].error}\n{_listed(failed)}")
    return JobFailed(
        "TooManyFailedRows",
        f"{len(failed)} of {len(evaluation.rows)} test rows failed, more than the share of {share} that "
        f"max_failed_rows allows; the first is {_told(failed[0])}\n{_listed(failed)}",
    )


def _listed(failed: Sequence[RowOutcome]) -> str:
    return listed([_told(row) for row in failed])


def _told(row: RowOutcome) -> str:
    return f"dataset[{row.n}]: {row.error}"
