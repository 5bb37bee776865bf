"""An optimizer's arguments: those that the job gives, and the defaults of its constructor and `compile`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dspy_service_core.registry.catalogue import Callee, OptimizerAsset

MINIMUM: Mapping[str, int] = {
    "bsize": 1,
    "depth": 1,
    "k": 1,
    "max_bootstrapped_demos": 0,
    "max_demos": 0,
    "max_errors": 0,
    "max_full_evals": 1,
    "max_labeled_demos": 0,
    "max_metric_calls": 1,
    "max_rounds": 1,
    "max_steps": 1,
    "minibatch_full_eval_steps": 1,
    "minibatch_size": 1,
    "num_candidate_programs": 0,
    "num_candidates": 1,
    "num_rules": 1,
    "num_threads": 1,
    "num_trials": 1,
    "reflection_minibatch_size": 1,
    "view_data_batch_size": 1,
}
"""With smaller values DSPy's optimizers fail or never end; a name means the same in all of them."""


class UnknownOption(Exception):
    """A needed argument is no number, or the optimizer has no such argument (it may be an added one)."""


@dataclass(frozen=True, slots=True)
class Options:
    """Arguments of the constructor and of `compile`, defaults included. A given null is a value like any other."""

    init: Mapping[str, Any]
    compile: Mapping[str, Any]

    def number(self, name: str) -> int:
        return _number(name, self.init.get(name))

    def compile_number(self, name: str) -> int:
        return _number(name, self.compile.get(name))

    @property
    def uses_validation_rows(self) -> bool:
        return "valset" in self.compile


def options_of(asset: OptimizerAsset, kwargs: Mapping[str, Any], compile_kwargs: Mapping[str, Any]) -> Options:
    return Options(init={**_defaults(asset.init), **kwargs}, compile={**_defaults(asset.compile), **compile_kwargs})


def whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(name: str, value: object) -> int:
    number = whole(value)
    if number is None:
        raise UnknownOption(name)
    return number


def _defaults(callee: Callee) -> dict[str, Any]:
    return {parameter.name: parameter.default for parameter in callee.parameters}
