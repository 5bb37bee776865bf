"""Builds the answer of GET /catalogue: what a job may name, what that takes, and what is installed where jobs run."""

from collections.abc import Iterator, Mapping

import orjson

from dspy_service_api.answers.schemas.service import (
    Catalogue,
    CatalogueArgument,
    CatalogueModule,
    CatalogueOptimizer,
    Nameable,
)
from dspy_service_api.jobs.record import Json
from dspy_service_core.checks import kwargs_rules, usable
from dspy_service_core.optimizers.family_table import family_of
from dspy_service_core.optimizers.options import MINIMUM
from dspy_service_core.registry.catalogue import AnyAsset, Callee, Parameter
from dspy_service_core.registry.packages import RunnerPackages
from dspy_service_core.registry.registry import Kindred, Registry
from dspy_service_core.resource.words import Words


def catalogue(registry: Registry, runner: RunnerPackages, words: Words) -> Json:
    """`words` gives the request's name for a path of the spec."""
    kept = kwargs_rules.reserved(words)
    modules: list[CatalogueModule] = [
        {
            **_nameable(registry.modules, asset, usable.module_refused(asset), kept),
            "predictors": asset.predictors,
        }
        for asset in _assets(registry.modules)
    ]
    optimizers: list[CatalogueOptimizer] = [
        {
            **_nameable(registry.optimizers, asset, usable.optimizer_refused(asset), kept),
            "compile_arguments": _arguments(asset.compile, kept),
        }
        for asset in (family_of(each.path).arguments(each) for each in _assets(registry.optimizers))
    ]
    answer: Catalogue = {
        "python": runner.python,
        "packages": dict(runner.packages),
        "modules": modules,
        "optimizers": optimizers,
    }
    return orjson.dumps(answer)


def _assets(kindred: Kindred[AnyAsset]) -> Iterator[AnyAsset]:
    """Each module or optimizer once, though several paths may name it."""
    by_path = {asset.path: asset for asset in kindred.assets.values()}
    return (by_path[path] for path in sorted(by_path))


def _aliases(kindred: Kindred[AnyAsset], asset: AnyAsset) -> list[str]:
    return [name for name in kindred.names() if kindred.aliases[name].path in asset.paths]


def _nameable(kindred: Kindred[AnyAsset], asset: AnyAsset, refused: str, kept: Mapping[str, str]) -> Nameable:
    return {
        "path": asset.path,
        "paths": list(asset.paths),
        "aliases": _aliases(kindred, asset),
        "refused": refused or None,
        "arguments": _arguments(asset.init, kept),
        "further_arguments": asset.init.further,
    }


def _arguments(callee: Callee, kept: Mapping[str, str]) -> list[CatalogueArgument]:
    return [_argument(parameter, kept.get(parameter.name)) for parameter in callee.parameters]


def _argument(parameter: Parameter, set_from: str | None) -> CatalogueArgument:
    refused = None if kwargs_rules.can_be_given(parameter) else usable.PYTHON_OBJECT
    return {
        "name": parameter.name,
        "required": parameter.required,
        "default": parameter.default,
        "types": list(parameter.types),
        "choices": list(parameter.choices),
        "least": MINIMUM.get(parameter.name),
        "description": parameter.description or None,
        "set_by_service": set_from,
        "refused": None if set_from else refused,
    }
