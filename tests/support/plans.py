"""Plans of optimizers that run in the test's own process, with nothing of the service around them."""

from importlib import import_module
from pathlib import Path
from typing import Any

import dspy

from dspy_service_core.resource.splits import Fractions
from dspy_service_runner.optimizer.models.models import ModelSet
from dspy_service_runner.optimizer.splits import Splits
from dspy_service_runner.optimizer.strategies.strategy import Plan


def plan_of(
    path: str, kwargs: dict[str, Any], program: dspy.Module, splits: Splits, lm: dspy.LM, folder: Path, **further: Any
) -> Plan:
    """`path` is the optimizer's class; `further` are fields of the plan."""
    module, _, name = path.rpartition(".")
    return Plan(
        name=path,
        optimizer=getattr(import_module(module), name),
        kwargs=kwargs,
        program=program,
        splits=splits,
        fractions=Fractions(0.5, 0.25, 0.25),
        models=ModelSet(default=lm, reflection=lm),
        checkpoint=folder / "checkpoint",
        **{"compile_kwargs": {}, "threads": 4, **further},
    )
