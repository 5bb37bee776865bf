"""Which modules and optimizers a job may name: DSPy's, by alias and dotted path, and those added in a YAML file.

    modules:
      triage: {path: acme.modules.Triage, kwargs: {depth: 2}}
    optimizers:
      quick: {path: dspy.MIPROv2, kwargs: {auto: light}, compile_kwargs: {minibatch: false}}
    allow: [acme.optimizers]            # dotted prefixes that jobs may name besides dspy
    catalogue: acme-catalogue.json      # by dspy-service-catalogue; a relative path is meant from this file
    packages: acme-packages.json        # by dspy-service-runner-catalogue, of the image that jobs run in

An alias in the file replaces a default one of the same name. Its kwargs are defaults: a job's kwargs replace them key
by key, and not deeper. Null is a value like any other, so a job can undo a default with it. Without a catalogue, the
kwargs of added classes are not checked before the run.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Generic, Literal

from pydantic import JsonValue

from dspy_service_core.errors import UnusableRequest
from dspy_service_core.registry import evaluate
from dspy_service_core.registry.catalogue import AnyAsset, Catalogue, ModuleAsset, OptimizerAsset, bundled, by_path
from dspy_service_core.registry.packages import RunnerPackages
from dspy_service_core.registry.prefixes import dotted_is_below
from dspy_service_core.registry.registry_file import (
    RegisteredAlias,
    RegistryFile,
    read_catalogue,
    read_file,
    read_packages,
)
from dspy_service_core.resource.targets import Target, Targets

Kind = Literal["module", "optimizer"]
_UNFIT: Mapping[str, str] = {
    "GRPO": "it trains a model's weights by reinforcement, and a job optimizes prompts and leaves models as they are",
    "FinetuneTeleprompter": "it is the base of optimizers that tune weights, and a job leaves models as they are",
}
"""What people who know dspy ask for, and its package does not offer as an optimizer of prompts."""
_PUBLIC_PATH = re.compile(r"[A-Za-z]\w*(?:\.[A-Za-z]\w*)+")

DEFAULT_MODULES: Mapping[str, RegisteredAlias] = {
    "predict": RegisteredAlias(path="dspy.Predict"),
    "cot": RegisteredAlias(path="dspy.ChainOfThought"),
}
DEFAULT_OPTIMIZERS: Mapping[str, RegisteredAlias] = {
    name.lower(): RegisteredAlias(path=f"dspy.{name}")
    for name in (
        "GEPA",
        "MIPROv2",
        "BootstrapFewShot",
        "BootstrapFewShotWithRandomSearch",
        "COPRO",
        "InferRules",
        "LabeledFewShot",
        "SIMBA",
    )
} | {evaluate.EVALUATE: RegisteredAlias(path=evaluate.PATH)}


@dataclass(frozen=True, slots=True)
class Resolved(Generic[AnyAsset]):
    """The class that a name stands for. `asset` is None if no catalogue has the class."""

    name: str
    path: str
    asset: AnyAsset | None
    kwargs: Mapping[str, JsonValue] = field(default_factory=dict)
    compile_kwargs: Mapping[str, JsonValue] = field(default_factory=dict)

    def with_defaults(self, given: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        return {**self.kwargs, **given}

    def with_compile_defaults(self, given: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        return {**self.compile_kwargs, **given}


class UnknownName(UnusableRequest):
    """No class has this name; the message lists the known names."""


@dataclass(frozen=True)
class Kindred(Generic[AnyAsset]):
    """All modules, or all optimizers, that jobs may name."""

    kind: Kind
    aliases: Mapping[str, RegisteredAlias]
    assets: Mapping[str, AnyAsset]
    allow: tuple[str, ...]
    example: str

    def resolve(self, name: str) -> Resolved[AnyAsset]:
        alias = self.aliases.get(name)
        if alias is None:
            return self._by_path(name)
        asset = self.assets.get(alias.path)
        path = asset.path if asset else alias.path
        return Resolved(name, path, asset, alias.kwargs, alias.compile_kwargs)

    def _by_path(self, name: str) -> Resolved[AnyAsset]:
        if asset := self.assets.get(name):
            return Resolved(name, asset.path, asset)
        if _PUBLIC_PATH.fullmatch(name) and dotted_is_below(name, self.allow):
            return Resolved(name, name, None)
        if why := _UNFIT.get(name.rpartition(".")[2]):
            raise UnknownName(f"{self.kind.capitalize()} '{name}' cannot be used: {why}.")
        raise UnknownName(
            f"Unknown {self.kind} '{name}'. Allowed: {', '.join(self.names())}, or a dotted path {self._dotted()}."
        )

    def names(self) -> list[str]:
        return sorted(self.aliases)

    def _dotted(self) -> str:
        own = "".join(f" or below {prefix}" for prefix in self.allow)
        return f"such as {self.example}{own}"


@dataclass(frozen=True)
class Registry:
    modules: Kindred[ModuleAsset]
    optimizers: Kindred[OptimizerAsset]
    packages: RunnerPackages | None = None
    """Of the image that jobs run in, where the file names them."""

    @classmethod
    def load(cls, path: str | Path | None = None, *, catalogue: Catalogue | None = None) -> "Registry":
        """Raises `registry_file.RegistryError`, which names the file, the line and the field."""
        known = catalogue or bundled()
        if path is None or not str(path):
            return build(RegistryFile(), known)
        file = read_file(Path(path))
        if file.catalogue:
            known = known.joined(read_catalogue(Path(path).parent / file.catalogue))
        built = build(file, known)
        return replace(built, packages=read_packages(Path(path).parent / file.packages)) if file.packages else built

    def registered_assets(self) -> dict[str, list[str]]:
        """As `GET /health` answers."""
        return {"modules": self.modules.names(), "optimizers": self.optimizers.names()}


def build(file: RegistryFile, catalogue: Catalogue) -> Registry:
    modules, optimizers = by_path(catalogue.modules), by_path((*catalogue.optimizers, evaluate.ASSET))
    allow = tuple(prefix.rstrip(".") for prefix in file.allow)
    return Registry(
        Kindred("module", {**DEFAULT_MODULES, **file.modules}, modules, allow, "dspy.ChainOfThought"),
        Kindred("optimizer", {**DEFAULT_OPTIMIZERS, **file.optimizers}, optimizers, allow, "dspy.MIPROv2"),
    )


@cache
def default() -> Registry:
    return Registry.load()


def targets_of(module_name: str | None, optimizer_name: str, registry: Registry) -> Targets:
    """`module_name` is None for a program of the job's own. Raises `UnknownName`."""
    module = None if module_name is None else registry.modules.resolve(module_name)
    optimizer = registry.optimizers.resolve(optimizer_name)
    return Targets(
        module=module and Target(path=module.path, kwargs=dict(module.kwargs)),
        optimizer=Target(
            path=optimizer.path, kwargs=dict(optimizer.kwargs), compile_kwargs=dict(optimizer.compile_kwargs)
        ),
    )
