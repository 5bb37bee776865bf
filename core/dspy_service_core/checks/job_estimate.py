"""The estimate of a checked job: what a dry run answers."""

from dspy_service_core.checks.checked_job import CheckedJob
from dspy_service_core.estimate import row_calls
from dspy_service_core.estimate.estimate import Estimate, Planned, estimate
from dspy_service_core.estimate.row_calls import RowCalls
from dspy_service_core.records.run import SplitCounts
from dspy_service_core.resource.job import OptimizationJobSpec


def estimate_of(spec: OptimizationJobSpec, checked: CheckedJob, counts: SplitCounts, metric_code: str) -> Estimate:
    return estimate(planned_of(spec, checked, counts, metric_code))


def planned_of(spec: OptimizationJobSpec, checked: CheckedJob, counts: SplitCounts, metric_code: str) -> Planned:
    models = [model for _, _, model in spec.all_models()]
    spoken = tuple(model.name for model in models if model.model_type != "embedding")
    return Planned(
        optimizer=checked.optimizer.name,
        family=checked.family,
        options=checked.options,
        counts=counts,
        predictors=checked.predictors,
        row=_row(checked),
        models=spoken,
        embedders=len(models) - len(spoken),
        own_program=spec.program is not None,
        metric_asks=row_calls.may_ask_models(metric_code),
    )


def _row(checked: CheckedJob) -> RowCalls:
    if checked.module is None:
        return row_calls.of_program(checked.program)
    return row_calls.of_module(checked.module.name, checked.module.asset, checked.module_kwargs)
