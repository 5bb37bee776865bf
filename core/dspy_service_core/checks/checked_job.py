"""What the checks have read of a job: names resolved, kwargs with their defaults, sources, and the split."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from dspy_service_core.code.metric_source import MetricSource
from dspy_service_core.code.signature_source import SignatureSource
from dspy_service_core.optimizers.family import Family, Part
from dspy_service_core.optimizers.family_table import family_of
from dspy_service_core.optimizers.options import Options, options_of
from dspy_service_core.programs.program_source import ProgramSource
from dspy_service_core.records.run import SplitCounts
from dspy_service_core.registry.catalogue import ModuleAsset, OptimizerAsset
from dspy_service_core.registry.registry import Resolved


@dataclass(frozen=True, slots=True)
class CheckedJob:
    """The kwargs include the registry's defaults. What the caller did not have is None."""

    module: Resolved[ModuleAsset] | None
    """None for a program of the job's own."""
    module_kwargs: Mapping[str, JsonValue]
    optimizer: Resolved[OptimizerAsset]
    optimizer_kwargs: Mapping[str, JsonValue]
    compile_kwargs: Mapping[str, JsonValue]
    signature: SignatureSource | None
    metric: MetricSource | None
    split_counts: SplitCounts | None
    program: ProgramSource | None = None
    """The job's own."""

    @property
    def predictors(self) -> int | None:
        """How many there are; None if only running the code would tell."""
        if self.program is not None:
            return self.program.predictor_count
        return self.module.asset.predictors if self.module and self.module.asset else None

    @property
    def family(self) -> Family:
        return family_of(self.optimizer.path)

    @property
    def optimizer_asset(self) -> OptimizerAsset | None:
        """As a job may give its arguments."""
        return self.optimizer.asset and self.family.arguments(self.optimizer.asset)

    @property
    def options(self) -> Options | None:
        asset = self.optimizer_asset
        return None if asset is None else options_of(asset, self.optimizer_kwargs, self.compile_kwargs)

    @property
    def parts(self) -> Mapping[str, Part]:
        """Further optimizers in the optimizer's arguments."""
        return {} if self.options is None else self.family.parts(self.options)

    @property
    def uses_validation_rows(self) -> bool:
        return self.options is None or self.options.uses_validation_rows
