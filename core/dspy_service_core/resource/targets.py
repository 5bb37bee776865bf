"""The classes that a job's names stand for. The operator resolves them with its registry and tells the pod.

So the pod needs no registry file and runs exactly what was checked. `registry.targets_of` makes them; they are in a
module of their own because reading a catalogue would add 60 ms to every pod's start.
"""

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel


class Target(BaseModel):
    """A class and the default kwargs, which the job's own kwargs replace."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    path: str
    kwargs: dict[str, JsonValue] = Field(default_factory=dict)
    compile_kwargs: dict[str, JsonValue] = Field(default_factory=dict)


class Targets(BaseModel):
    model_config = ConfigDict(frozen=True)

    module: Target | None = None
    """None for a program of the job's own."""
    optimizer: Target

    def json_text(self) -> str:
        return self.model_dump_json(by_alias=True, exclude_defaults=True)
