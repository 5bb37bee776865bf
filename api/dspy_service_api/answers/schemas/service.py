"""What the service says of itself: its health, and what a job may name."""

from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

from dspy_service_api.answers.schemas.shapes import closed


@closed
class RegisteredAssets(TypedDict):
    modules: list[str]
    optimizers: list[str]


@closed
class Health(TypedDict):
    status: Literal["ok"]
    registered_assets: RegisteredAssets


@closed
class CatalogueArgument(TypedDict):
    name: str
    required: bool
    default: Annotated[Any, Field(description="The argument's default; null too where the default is no JSON value.")]
    types: Annotated[list[str], Field(description="JSON types that it takes; empty: any. `object` is no JSON value.")]
    choices: list[Any]
    least: Annotated[int | None, Field(description="The least number that it takes; null where none is known.")]
    description: Annotated[
        str | None, Field(description="What it means, in dspy's own words; null where dspy says nothing of it.")
    ]
    set_by_service: Annotated[
        str | None, Field(description="Where the service takes its value from: a request that gives it is refused.")
    ]
    refused: Annotated[str | None, Field(description="Why a job cannot give this argument; null where it can.")]


class Nameable(TypedDict):
    """What a job may name, and the arguments of its constructor."""

    path: str
    paths: Annotated[list[str], Field(description="All dotted paths by which a job may name it.")]
    aliases: list[str]
    refused: Annotated[
        str | None,
        Field(
            description="Why no job can name it; null where a job can. A program of the job's own can use any module."
        ),
    ]
    arguments: Annotated[
        list[CatalogueArgument], Field(description="Given as `module_kwargs`, or as `optimizer_kwargs`.")
    ]
    further_arguments: Annotated[bool, Field(description="Whether the constructor takes further arguments as well.")]


@closed
class CatalogueModule(Nameable):
    predictors: Annotated[
        int | None, Field(description="How many predictors it makes; null where that depends on how it is used.")
    ]


@closed
class CatalogueOptimizer(Nameable):
    compile_arguments: Annotated[
        list[CatalogueArgument], Field(description="Arguments of its compile method, given as `compile_kwargs`.")
    ]


@closed
class Catalogue(TypedDict):
    python: Annotated[str, Field(description="The version of Python that jobs run with.")]
    packages: Annotated[
        dict[str, str], Field(description="Versions of what is installed where jobs run, by normalized names.")
    ]
    modules: list[CatalogueModule]
    optimizers: list[CatalogueOptimizer]
