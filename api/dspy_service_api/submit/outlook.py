"""What a dry run says of an accepted request: how its rows are split, what the job will call, and what to look at."""

from collections.abc import Iterator
from dataclasses import dataclass

from dspy_service_api.answers.brief import brief
from dspy_service_core.checks.checked_job import CheckedJob
from dspy_service_core.checks.job_estimate import estimate_of
from dspy_service_core.contract.request import RunRequest
from dspy_service_core.estimate.estimate import Estimate
from dspy_service_core.records.run import SplitCounts
from dspy_service_core.resource.job import OptimizationJobSpec

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
    warnings = (*_warnings(request, checked, counts), *_short(request, estimate))
    return Outlook(counts, estimate, warnings)


def _short(request: RunRequest, estimate: Estimate) -> Iterator[str]:
    """A budget may well be there to end the search: but its sender should not have to find that out."""
    for name, whole in (("metric_calls", estimate.metric), ("model_calls", estimate.model)):
        cap = getattr(request.budget, name, None)
        if cap is not None and cap < whole.least:
            yield (
                f"budget.{name} {cap} ends the search early, with the best program so far: to its end the job would "
                f"take {whole}."
            )


def _warnings(request: RunRequest, checked: CheckedJob, counts: SplitCounts) -> Iterator[str]:
    if request.unknown_fields:
        yield f"Unknown keys were ignored: {brief(request.unknown_fields)}"
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
