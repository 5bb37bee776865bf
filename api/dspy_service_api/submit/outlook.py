"""What a dry run says of an accepted request: how its rows are split, what the job will call, and what to look at."""

from collections.abc import Iterator
from dataclasses import dataclass

from dspy_service_core.checks.checked_job import CheckedJob
from dspy_service_core.checks.job_estimate import estimate_of
from dspy_service_core.contract.request import RunRequest
from dspy_service_core.estimate.estimate import Estimate
from dspy_service_core.records.run import SplitCounts
from dspy_service_core.resource.job import OptimizationJobSpec

_NAMED = 20
_FEWEST_COMPARED = 2


@dataclass(frozen=True, slots=True)
class Outlook:
    split_counts: SplitCounts
    estimate: Estimate
    warnings: tuple[str, ...] = ()


def outlook(request: RunRequest, spec: OptimizationJobSpec, checked: CheckedJob) -> Outlook:
    counts = checked.split_counts
    assert counts is not None, "a request brings its rows"
    estimate = estimate_of(spec, checked, counts, request.metric_code)
    return Outlook(counts, estimate, tuple(_warnings(request, checked, counts)))


def _warnings(request: RunRequest, checked: CheckedJob, counts: SplitCounts) -> Iterator[str]:
    if request.unknown_fields:
        yield unknown_keys(request.unknown_fields)
    if checked.family.optimizes and counts.val and not checked.uses_validation_rows:
        yield (
            f"Optimizer '{checked.optimizer.name}' takes no validation rows: {counts.val} rows are used for nothing. "
            "Give their share to train or test in split_fractions."
        )
    if checked.family.optimizes and counts.test < _FEWEST_COMPARED:
        yield "The verdict of one test row is 'unknown': give more rows to test in split_fractions."
    if checked.signature is not None and checked.signature.doubt:
        yield f"signature_code can only be checked when the job runs: {checked.signature.doubt}."
    if checked.program is not None and checked.program.doubt:
        yield f"program_code can only be checked when the job runs: {checked.program.doubt}."


def unknown_keys(keys: tuple[str, ...]) -> str:
    named = ", ".join(key[:64] for key in keys[:_NAMED])
    more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
    return f"Unknown keys were ignored: {named}{more}"
