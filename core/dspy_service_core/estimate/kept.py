"""The estimate as it is kept with a job, in an annotation: its numbers alone, since every watch event carries them.

At the end of the job each has beside it what came (`beside`). Without pydantic and dspy.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from dspy_service_core.estimate.bounds import Bounds
from dspy_service_core.estimate.estimate import Estimate

JsonObject = dict[str, Any]
CALLS = ("metric_calls", "model_calls")
_MOST_BYTES = 4096


def kept(estimate: Estimate) -> str:
    stages = {name: {"metric_calls": s.metric, "model_calls": s.model} for name, s in estimate.stages.items()}
    numbers: JsonObject = {
        "metric_calls": _range(estimate.metric),
        "model_calls": _range(estimate.model),
        "by_stage": {name: {kind: _range(each) for kind, each in stage.items()} for name, stage in stages.items()},
        "predictors": estimate.predictors,
    }
    return orjson.dumps(numbers).decode()


def read_kept(text: str | None) -> JsonObject | None:
    """None where nothing was said, or what stands there is none of ours: whoever made the resource wrote it."""
    try:
        found = orjson.loads(text or "null") if len(text or "") <= _MOST_BYTES else None
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) and all(isinstance(found.get(kind), dict) for kind in CALLS) else None


def beside(said: JsonObject, came: Mapping[str, float | None], by_stage: Mapping[str, int]) -> JsonObject:
    """`came` by the names of the estimate's ranges; `by_stage` are model calls."""
    none = {"least": None, "most": None}
    told: JsonObject = {name: {**(said.get(name) or none), "actual": actual} for name, actual in came.items()}
    stages = said.get("by_stage")
    if isinstance(stages, dict):
        told["by_stage"] = {
            name: {**stage, "model_calls": {**(stage.get("model_calls") or none), "actual": by_stage.get(name, 0)}}
            for name, stage in stages.items()
            if isinstance(stage, dict)
        }
    return told | {"predictors": said.get("predictors")}


def _range(bounds: Bounds) -> JsonObject:
    return {"least": bounds.least, "most": bounds.most}
