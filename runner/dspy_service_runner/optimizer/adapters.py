"""DSPy's adapter of a job, which writes the prompts and reads the answers of all its predictors."""

from collections.abc import Mapping

import dspy

from dspy_service_core.resource.adapters import DEFAULT_ADAPTER, Adapter
from dspy_service_core.resource.job import OptimizationJobSpec

ADAPTERS: Mapping[Adapter, type[dspy.Adapter]] = {
    "chat": dspy.ChatAdapter,
    "json": dspy.JSONAdapter,
    "xml": dspy.XMLAdapter,
}


def adapter_of(spec: OptimizationJobSpec) -> dspy.Adapter:
    return ADAPTERS[spec.adapter or DEFAULT_ADAPTER]()
