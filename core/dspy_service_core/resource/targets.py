"""What a job's names stand for: resolved by the operator with its registry, and told to the pod.

So the pod needs no registry file, and runs what was checked, whatever registry its image may hold.
`registry.targets_of` makes them; apart, because reading a catalogue would cost every pod's start 60 ms.
"""

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel


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
