"""Builds the answer of a dry run. Pure."""

from collections.abc import Sequence

import orjson

from dspy_service_api.answers.schemas.submits import CallRange, DryRun, Estimate as EstimateAnswer, Estimated
from dspy_service_api.jobs.record import Json
from dspy_service_core.estimate.bounds import Bounds
from dspy_service_core.estimate.estimate import NO_COST, NO_TOKENS, Estimate
from dspy_service_core.records.run import SplitCounts


def dry_run(counts: SplitCounts, estimate: Estimate, warnings: Sequence[str]) -> Json:
    answer: DryRun = {
        "valid": True,
        "split_counts": {"train": counts.train, "val": counts.val, "test": counts.test},
        "estimate": _estimate(estimate),
        "warnings": list(warnings),
    }
    return orjson.dumps(answer)


def _estimate(found: Estimate) -> EstimateAnswer:
    return {
        "metric_calls": _estimated(found.metric, found.metric_rule),
        "model_calls": _estimated(found.model, found.model_rule),
        "tokens": _unknown(NO_TOKENS),
        "cost_usd": _unknown(NO_COST),
        "by_stage": {
            stage: {"metric_calls": _range(calls.metric), "model_calls": _range(calls.model)}
            for stage, calls in found.stages.items()
        },
        "predictors": found.predictors,
    }


def _range(bounds: Bounds) -> CallRange:
    return {"least": bounds.least, "most": bounds.most}


def _estimated(bounds: Bounds, rule: str) -> Estimated:
    return {"least": bounds.least, "most": bounds.most, "rule": rule}


def _unknown(why: str) -> Estimated:
    return {"least": None, "most": None, "rule": why}
