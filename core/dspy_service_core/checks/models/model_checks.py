"""Checks of a job's models: settings that DSPy refuses, and endpoints that this service does not allow."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dspy_service_core.checks.models import credentials
from dspy_service_core.checks.models.endpoints import Hosts, is_this_machine, named_endpoints, refused_urls
from dspy_service_core.resource.job import OptimizationJobSpec
from dspy_service_core.resource.spec import model_rules
from dspy_service_core.resource.spec.models import Model, Models
from dspy_service_core.resource.words import Words


@dataclass(frozen=True, slots=True)
class GivenModel:
    """A model with its credentials put back, because they may hold URLs too."""

    path: str
    model: Model
    base_url: str
    extra: Mapping[str, Any]


def settings(spec: OptimizationJobSpec, withheld: Mapping[str, Mapping[str, Any]]) -> Sequence[GivenModel]:
    return [_settings(path, model, withheld.get(name, {})) for path, name, model in spec.all_models()]


def _settings(path: str, model: Model, withheld: Mapping[str, Any]) -> GivenModel:
    whole = credentials.restored({"base_url": model.base_url, "extra": model.extra}, withheld)
    return GivenModel(path, model, whole["base_url"], whole["extra"])


def refused_settings(models: Sequence[GivenModel], words: Words) -> Iterator[str]:
    for given in models:
        model = given.model
        if problem := model_rules.objection(model.name, model.given_temperature, model.max_tokens):
            yield f"{words(given.path)}: {problem}."


def refused_module_temperature(models: Models, kwargs: Mapping[str, Any], words: Words) -> Iterator[str]:
    """A module passes its `temperature` with each call, which overrides the model's own."""
    given = kwargs.get("temperature")
    for role, model in (("default", models.default), ("task", models.task)):
        if given is not None and model and model_rules.objection(model.name, given, None):
            takes = (
                f"model '{model.name}' ({words(f'spec.models.{role}')}) takes {model_rules.REASONING_TEMPERATURE} alone"
            )
            yield f"{words('spec.module.kwargs')}.temperature cannot be {given}: {takes}."


def refused_endpoints(models: Sequence[GivenModel], hosts: Hosts, words: Words) -> Iterator[str]:
    """A model without a base_url is called at its provider's own endpoint, which need not be on the list."""
    if not hosts:
        return
    for given in models:
        for path, url in refused_urls(given.base_url, given.extra, hosts):
            field = words(f"{given.path}.{path}")
            yield f"{field}: this service asks no models at '{url}'. Allowed hosts: {', '.join(hosts)}."


def own_ports(models: Sequence[GivenModel], ports: frozenset[int], words: Words) -> Iterator[str]:
    """A job must not use the service itself as its model's endpoint, because the service obeys whoever can reach it."""
    if not ports:
        return
    for given in models:
        for path, host, port in named_endpoints(given.base_url, given.extra):
            if port in ports and is_this_machine(host):
                field = words(f"{given.path}.{path}")
                yield f"{field}: {host}:{port} is this service itself, which no job may reach."
