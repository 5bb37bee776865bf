"""DSPy's modules and optimizers with their parameters, known without importing DSPy.

`catalogue.json` is written by `dspy_service_runner.introspect.introspect` from the pinned dspy and committed; whoever
runs the service can write another for classes of their own, in their runner's environment. The API and the operator
check jobs against it.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue

Word = Literal["null", "bool", "int", "float", "str", "list", "dict", "object"]
"""A JSON type that a parameter takes; `object` stands for what JSON cannot hold (a callable, a model, an example)."""

_WORDS: Mapping[type, Word] = {
    type(None): "null",
    bool: "bool",
    int: "int",
    float: "float",
    str: "str",
    list: "list",
    dict: "dict",
}


class CatalogueEntry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Parameter(CatalogueEntry):
    name: str
    kind: Literal["positional", "keyword"]
    required: bool = False
    default: JsonValue = None
    types: tuple[Word, ...] = Field(
        default=(), description="JSON types that the parameter takes; empty where dspy does not say."
    )
    choices: tuple[JsonValue, ...] = ()
    description: str = Field(default="", description="What it means, in the words of its class's docstring.")

    def takes(self, value: JsonValue) -> bool:
        """Whether the value has a type that the parameter takes; dspy may still refuse it."""
        if any(type(choice) is type(value) for choice in self.choices):
            return value in self.choices
        word = _WORDS[type(value)]
        return not self.types or word in self.types or (word == "int" and "float" in self.types)

    @property
    def from_json(self) -> bool:
        """Whether any JSON value can be given for it."""
        return not self.types or any(word not in ("object", "null") for word in self.types)

    @property
    def expected(self) -> str:
        """What the parameter takes, for a message: `"light", "medium", "heavy" or null`."""
        said = [f'"{choice}"' for choice in self.choices] + [w for w in self.types if w not in ("object", "str")]
        if "str" in self.types and not self.choices:
            said.append("str")
        return " or ".join([", ".join(said[:-1]), said[-1]]) if len(said) > 1 else "".join(said)


class Callee(CatalogueEntry):
    """A constructor or a `compile` method. `further`: it takes keyword arguments beyond the named ones (**kwargs)."""

    parameters: tuple[Parameter, ...]
    further: bool = False

    def find(self, name: str) -> Parameter | None:
        return next((p for p in self.parameters if p.name == name), None)

    def names(self) -> frozenset[str]:
        return frozenset(p.name for p in self.parameters)


class Asset(CatalogueEntry):
    """`path` is the shortest public one; `paths` are all of them."""

    path: str
    paths: tuple[str, ...]
    init: Callee


class ModuleAsset(Asset):
    predictors: int | None = Field(
        default=None, description="How many it makes of one signature; absent where that depends on its arguments."
    )


class OptimizerAsset(Asset):
    compile: Callee

    def compiles_with(self, name: str) -> bool:
        return self.compile.find(name) is not None


AnyAsset = TypeVar("AnyAsset", bound=Asset)


class AutoRun(CatalogueEntry):
    """What an optimizer derives from one value of `auto`; the fields have DSPy's own names."""

    n: int = Field(description="How many candidates are tried.")
    val_size: int | None = Field(default=None, description="Validation rows that are used at most.")


class Tables(CatalogueEntry):
    """DSPy's own constants that determine how many calls its optimizers make."""

    mipro_auto: Mapping[str, AutoRun]
    mipro_min_minibatch_size: int = Field(description="With `auto`, minibatches are for more validation rows.")
    mipro_zero_shot_demos: int = Field(description="Bootstrapped to show what the program does, where it gets none.")
    gepa_auto: Mapping[str, AutoRun]
    gepa_minibatch_size: int = Field(description="Default of `minibatch_size` in GEPA's `auto_budget`.")
    gepa_full_eval_steps: int = Field(description="Default of `full_eval_steps` in GEPA's `auto_budget`.")


class Catalogue(CatalogueEntry):
    source: str = Field(description="What was introspected, such as dspy 3.4.1.")
    modules: tuple[ModuleAsset, ...] = ()
    optimizers: tuple[OptimizerAsset, ...] = ()
    tables: Tables | None = Field(default=None, description="Given only by the catalogue of dspy itself.")

    def joined(self, other: "Catalogue") -> "Catalogue":
        return Catalogue(
            source=f"{self.source}, {other.source}",
            modules=self.modules + other.modules,
            optimizers=self.optimizers + other.optimizers,
            tables=self.tables or other.tables,
        )


@cache
def bundled() -> Catalogue:
    return Catalogue.model_validate_json(files(__package__).joinpath("catalogue.json").read_bytes())


def tables() -> Tables:
    found = bundled().tables
    assert found is not None, "catalogue.json is written with them"
    return found


def by_path(assets: Iterable[AnyAsset]) -> dict[str, AnyAsset]:
    return {path: asset for asset in assets for path in asset.paths}
