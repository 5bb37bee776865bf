"""Which model keys and secrets the pod of a job gets, as environment variables of its containers.

A model's own Secret comes first. A model without one gets the service's key, but only for the provider's own endpoint
and for hosts that whoever runs the service has listed: any other host would be sent the key of the service.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dspy_service_core.checks.models.endpoints import is_listed, named_endpoints
from dspy_service_core.resource import names
from dspy_service_core.resource.job import OptimizationJobSpec
from dspy_service_core.resource.spec.models import Model
from dspy_service_core.resource.wire import KeyRef
from dspy_service_operator.settings import OperatorSettings

_DEFAULT_PROVIDER = "openai"
"""LiteLLM's provider for a model name without one."""
_VARIABLES = {
    "azure_ai": "AZURE_AI_API_KEY",
    "gemini": "GEMINI_API_KEY",
    "huggingface": "HF_TOKEN",
    "text-completion-openai": "OPENAI_API_KEY",
    "together_ai": "TOGETHERAI_API_KEY",
    "vertex_ai": "GOOGLE_API_KEY",
}
"""Providers whose variable is not called `<PROVIDER>_API_KEY`."""
_OLLAMA, _OLLAMA_PORT = ("ollama", "ollama_chat"), 11434
"""Providers that LiteLLM calls on the job's own machine if there is no base_url."""
_ENDPOINTS = frozenset({"api_base", "base_url"})
"""Keyword arguments of dspy.LM in `extra` that would send the call to another endpoint."""


def key_environment(spec: OptimizationJobSpec, settings: OperatorSettings) -> list[dict[str, Any]]:
    """Both containers get them: the optimizer to call models, the reporter to redact them in everything it uploads."""
    entries: list[dict[str, Any]] = []
    for _, role, model in spec.all_models():
        if model.key_from is not None:
            entries.append(_from_secret(names.key_variable(role), model.key_from.name, model.key_from.key))
        elif _gets_service_key(model, settings):
            secret, key = settings.model_keys_secret, service_key_name(model.name)
            entries.append(_from_secret(names.key_variable(role), secret, key, optional=True))
        if model.credentials_from is not None:
            ref = model.credentials_from
            entries.append(_from_secret(names.credentials_variable(role), ref.name, ref.key))
    for name, ref in spec.secrets.items():
        entries.append(_from_secret(names.secret_variable(name), ref.name, ref.key))
    return entries


def model_endpoints(model: Model) -> Iterator[tuple[str, int]]:
    """Hosts and ports that the model's settings name; the providers' own endpoints on the internet are not among
    them."""
    for _, host, port in named_endpoints(model.base_url, model.extra):
        yield host, port
    if not model.base_url and model.name.partition("/")[0] in _OLLAMA:
        yield "localhost", _OLLAMA_PORT


@dataclass(frozen=True, slots=True)
class SecretReference:
    """`own`: the Secret is the one that the API made for this very job; otherwise it is a user's, with the label of
    model keys."""

    path: str
    ref: KeyRef
    own: bool


def secret_references(spec: OptimizationJobSpec, job: str) -> Iterator[SecretReference]:
    """All Secrets that the job of that name needs."""
    for path, _, model in spec.all_models():
        if model.key_from is not None:
            yield SecretReference(f"{path}.keyFrom", model.key_from, own=False)
        if model.credentials_from is not None:
            yield SecretReference(f"{path}.credentialsFrom", model.credentials_from, own=True)
    for name, ref in spec.secrets.items():
        yield SecretReference(f"spec.secrets.{name}", ref, own=names.is_own_credentials(ref.name, job))


def service_key_name(model: str) -> str:
    """The key in the service's own Secret, which has the name of LiteLLM's variable."""
    provider = model.partition("/")[0].lower() if "/" in model else _DEFAULT_PROVIDER
    return _VARIABLES.get(provider) or re.sub(r"[^A-Z0-9]", "_", provider.upper()) + "_API_KEY"


def _gets_service_key(model: Model, settings: OperatorSettings) -> bool:
    if _ENDPOINTS & model.extra.keys():
        return False
    return not model.base_url or is_listed(model.base_url, settings.key_hosts)


def _from_secret(variable: str, secret: str, key: str, *, optional: bool = False) -> dict[str, Any]:
    ref: dict[str, Any] = {"name": secret, "key": key}
    return {"name": variable, "valueFrom": {"secretKeyRef": ref | ({"optional": True} if optional else {})}}
