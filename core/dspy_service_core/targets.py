"""What a job's names stand for: resolved by the operator with its registry, and told to the pod.

So the pod needs no registry file, and runs what was checked, whatever registry its image may hold.
"""

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

from dspy_service_core.registry import Registry


class Target(BaseModel):
    """A class, and the defaults that the job's own kwargs are laid over."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    path: str
    kwargs: dict[str, JsonValue] = Field(default_factory=dict)
    compile_kwargs: dict[str, JsonValue] = Field(default_factory=dict)


class Targets(BaseModel):
    model_config = ConfigDict(frozen=True)

    module: Target
    optimizer: Target

    def json_text(self) -> str:
        return self.model_dump_json(by_alias=True, exclude_defaults=True)


def targets_of(module_name: str, optimizer_name: str, registry: Registry) -> Targets:
    """Raises `UnknownName`."""
    module, optimizer = registry.resolve_module(module_name), registry.resolve_optimizer(optimizer_name)
    return Targets(
        module=Target(path=module.path, kwargs=dict(module.kwargs)),
        optimizer=Target(
            path=optimizer.path, kwargs=dict(optimizer.kwargs), compile_kwargs=dict(optimizer.compile_kwargs)
        ),
    )
