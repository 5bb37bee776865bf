"""Builds the models of a job (four roles, and those that it names), with keys from the environment, and explains their
errors.

The variables are removed as they are read, before any user code runs. (User code can still find the keys in the memory
of its own process, as the docs say; only a gateway that holds them would change that.)
"""

import json
import logging
from base64 import b64encode
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlsplit

import dspy
from dspy.lm15 import CacheConfig
from dspy.utils.callback import BaseCallback

from dspy_service_core.checks.models.credentials import merge, public_url, user_part, without_user_part
from dspy_service_core.contract.request_rules import OWN_FIELDS
from dspy_service_core.resource import names
from dspy_service_core.resource.job import OptimizationJobSpec
from dspy_service_core.resource.spec.model_rules import is_reasoning, temperature
from dspy_service_core.resource.spec.models import Model
from dspy_service_runner.optimizer.failures import JobFailed, first_line
from dspy_service_runner.optimizer.json_form import valid_unicode
from dspy_service_runner.optimizer.models.embedders import CountedEmbedder, NeedsLiteLLM
from dspy_service_runner.optimizer.models.model_errors import (
    AUTHENTICATION,
    OF_ONE_REQUEST,
    REASONS,
    UNREACHABLE,
    kind_of,
)
from dspy_service_runner.optimizer.models.spending.prices import GivenPrices

logger = logging.getLogger(__name__)

NO_KEY = "no-key"
"""Sent as the key to a base URL that has none. Servers on loopback need none; others refuse it, and `explain` says
why."""

OWN_ROLE = "job's own"
"""How messages call a model that the job's code makes itself."""

ModelKey = tuple[str, str]
AnyModel: TypeAlias = dspy.BaseLM | CountedEmbedder
_AZURE_VERSION = "api-version"
"""A parameter in the query of Azure's URLs; LiteLLM, which asks Azure, has an argument for it."""


class CountedLM(dspy.LM):  # type: ignore[misc]  # dspy is untyped
    """Knows its role, and keeps no history: at 4 KB a call it would fill the pod's memory.

    A lone surrogate (half a character) becomes U+FFFD in requests and answers, because dspy refuses to send it and
    nothing can store it.
    """

    role: str | None = None
    """Or the name by which the job has it."""
    prices: GivenPrices | None = None
    sends_temperature = True
    """If False, not even a temperature that an optimizer or a module sets is sent."""
    own_temperature = False
    """Whether the temperature is the service's default, which nobody asked for."""

    def copy(self, **kwargs: Any) -> Any:
        return super().copy(**self._sent(kwargs))

    def adapt(self, refusal: Exception) -> str:
        """Changes a refused setting to the form that the model wants. Returns what was changed, or empty text."""
        said = str(refusal).lower()
        if "max_completion_tokens" in said and self.kwargs.get("max_tokens") is not None:
            self.kwargs["max_completion_tokens"] = self.kwargs.pop("max_tokens")
            return "max_completion_tokens in the place of max_tokens"
        if "temperature" in said and self.own_temperature and self.sends_temperature:
            self.sends_temperature = False
            self.kwargs.pop("temperature", None)
            return "no temperature, as none was given"
        return ""

    def _sent(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        if self.sends_temperature:
            return kwargs
        return {name: value for name, value in kwargs.items() if name != "temperature"}

    def __call__(self, prompt: Any = None, *, messages: Any = None, **kwargs: Any) -> Any:
        kwargs = self._sent(kwargs)
        return valid_unicode(super().__call__(valid_unicode(prompt), messages=valid_unicode(messages), **kwargs))

    async def acall(self, prompt: Any = None, *, messages: Any = None, **kwargs: Any) -> Any:
        kwargs = self._sent(kwargs)
        return valid_unicode(await super().acall(valid_unicode(prompt), messages=valid_unicode(messages), **kwargs))

    def update_history(self, entry: dict[str, Any]) -> None:
        pass


class ValidAnswers(BaseCallback):  # type: ignore[misc]  # dspy is untyped
    """Replaces lone surrogates in the parsed values of an answer too: JSON in it may hold them as escapes."""

    def on_adapter_parse_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
        if isinstance(outputs, dict):
            outputs.update(valid_unicode(outputs))


class JobModels(dict[str, Any]):
    """The global `models` of the job's code: each model by its role or name."""

    def __missing__(self, name: str) -> Any:
        raise KeyError(
            f"this job has no model {name!r}; it has {', '.join(self)}. Further ones are given by the request's field "
            "model_configs (in a resource: spec.modelConfigs)"
        )


@dataclass(frozen=True)
class ModelSet:
    """`reflection`, `prompt` and `task` are None if the job names none; the caller decides what is used instead."""

    default: dspy.LM
    reflection: dspy.LM | None = None
    prompt: dspy.LM | None = None
    task: dspy.LM | None = None
    named: Mapping[str, dspy.LM] = field(default_factory=dict)
    embedders: Mapping[str, CountedEmbedder] = field(default_factory=dict)

    def by_role(self) -> Iterable[tuple[str, dspy.LM]]:
        """All language models, by role or name."""
        roles = [(role, lm) for role in names.MODEL_ROLES if (lm := getattr(self, role)) is not None]
        return [*roles, *self.named.items()]

    def everything(self) -> list[tuple[str, AnyModel]]:
        """All models, embedders too."""
        return [*self.by_role(), *self.embedders.items()]

    @property
    def for_code(self) -> JobModels:
        fallen_back = {"prompt": self.default, "task": self.default}
        return JobModels(fallen_back | dict(self.everything()))


@dataclass(frozen=True)
class Credentials:
    api_key: str = ""
    base_url: str = ""
    extra: dict[str, Any] | None = None


_CREDENTIALS = (names.key_variable(""), names.credentials_variable(""))
"""Prefixes of the variables that hold credentials."""


def take_credentials(spec: OptimizationJobSpec, environment: MutableMapping[str, str]) -> dict[str, Credentials]:
    """Removes all credentials from the environment, in which user code runs, even those of no model of the job."""
    taken = {name: _take(name, environment) for _, name, _ in spec.all_models()}
    for variable in [name for name in environment if name.startswith(_CREDENTIALS)]:
        del environment[variable]
    return taken


def give_secrets(environment: MutableMapping[str, str]) -> None:
    """Gives the job's code its secrets by their own names."""
    for variable, name in [(variable, names.secret_of(variable)) for variable in environment]:
        if name:
            environment[name] = environment.pop(variable)


def _take(role: str, environment: MutableMapping[str, str]) -> Credentials:
    key = environment.pop(names.key_variable(role), "")
    withheld = environment.pop(names.credentials_variable(role), "")
    try:
        document = json.loads(withheld or "{}")
        return Credentials(key.strip(), document.get("base_url") or "", document.get("extra") or {})
    except (ValueError, AttributeError):
        raise JobFailed(
            "InvalidModel", f"The credentials of the {role} model are not the JSON object that they must be."
        ) from None


def build(spec: OptimizationJobSpec, credentials: dict[str, Credentials]) -> ModelSet:
    roles = {role: _build(role, model, credentials[role]) for role, model in spec.models.roles()}
    named, embedders = {}, {}
    for name, model in spec.model_configs.items():
        if model.model_type == "embedding":
            embedders[name] = _embedder(name, model, credentials[name])
        else:
            named[name] = _build(name, model, credentials[name])
    return ModelSet(**roles, named=named, embedders=embedders)


def _embedder(name: str, model: Model, credentials: Credentials) -> CountedEmbedder:
    sampling = ("model_type", "temperature", "max_tokens", "top_p")
    kwargs = {key: value for key, value in _kwargs(name, model, credentials).items() if key not in sampling}
    try:
        prices = None if model.prices is None else GivenPrices.of(model.prices)
        return CountedEmbedder(name, model.name, kwargs, prices)
    except NeedsLiteLLM:
        raise JobFailed(
            "InvalidModel",
            f"The {name} model {model.name!r} is asked through LiteLLM, which this runner's image does not have. Use "
            "the image with LiteLLM, or an endpoint like OpenAI's: the name 'openai/...' and its base URL.",
        ) from None
    except Exception as error:
        raise JobFailed("InvalidModel", f"The {name} model {model.name!r}: {first_line(error)}") from error


def _build(role: str, model: Model, credentials: Credentials) -> dspy.LM:
    kwargs = _kwargs(role, model, credentials)
    try:
        lm = CountedLM(model.name, **kwargs)
    except Exception as error:
        raise JobFailed("InvalidModel", f"The {role} model {model.name!r}: {first_line(error)}") from error
    lm.prices = None if model.prices is None else GivenPrices.of(model.prices)
    lm.role, lm.sends_temperature = role, not model.sends_no_temperature
    lm.own_temperature = model.temperature is None and "temperature" not in model.extra
    return lm


def _kwargs(role: str, model: Model, credentials: Credentials) -> dict[str, Any]:
    if trouble := _trouble(model, credentials):
        raise JobFailed("InvalidModel", f"The credentials of the {role} model hold {trouble}.")
    extra: dict[str, Any] = merge(dict(model.extra), credentials.extra or {})
    base_url = credentials.base_url or model.base_url
    kwargs = _with_basic_authorization(extra, user_part(base_url))
    if (caching := kwargs.pop("prompt_cache", None)) not in (None, False):
        kwargs["prompt_cache"] = CacheConfig(**(caching if isinstance(caching, dict) else {}))
    endpoint = without_user_part(base_url)
    version = dict(parse_qsl(urlsplit(endpoint).query)).get(_AZURE_VERSION)
    if version and model.name.startswith("azure/"):
        endpoint = public_url(endpoint)
        kwargs.setdefault("api_version", version)
    given = {
        "api_base": endpoint or None,
        "model_type": model.model_type,
        "temperature": _temperature(model),
        "max_tokens": model.max_tokens,
        "top_p": None if model.top_p is None else float(model.top_p),
    }
    kwargs |= {name: value for name, value in given.items() if value is not None}
    if is_reasoning(model.name) and "max_completion_tokens" in kwargs:  # dspy renames max_tokens itself
        kwargs["max_tokens"] = kwargs.pop("max_completion_tokens")
    if credentials.api_key or base_url:
        kwargs.setdefault("api_key", credentials.api_key or NO_KEY)
    return kwargs


def _trouble(model: Model, credentials: Credentials) -> str:
    """The endpoint was checked in the spec, so a Secret may add credentials to it, and nothing else."""
    if credentials.base_url and public_url(credentials.base_url) != public_url(model.base_url):
        return "another endpoint than its baseUrl"
    foreign = sorted(OWN_FIELDS.keys() & (credentials.extra or {}).keys())
    return f"'{foreign[0]}', which belongs into the model's settings" if foreign else ""


def _with_basic_authorization(extra: dict[str, Any], user: str) -> dict[str, Any]:
    """Turns the user part of a URL into the header that it stands for, because dspy would take it for a part of the
    host's name."""
    headers = extra.get("extra_headers") or {}
    named = {str(name).lower() for group in (headers, extra.get("headers") or {}) for name in group}
    if not user or "authorization" in named:
        return extra
    pair = user if ":" in user else f"{user}:"
    return extra | {"extra_headers": {**headers, "Authorization": f"Basic {b64encode(pair.encode()).decode()}"}}


def _temperature(model: Model) -> float | None:
    """`extra` may have a temperature as well; the model's own field goes first."""
    if model.sends_no_temperature:
        return None
    given = model.extra.get("temperature") if model.temperature is None else model.temperature
    return temperature(model.name, float(given) if isinstance(given, str | int | float) else None)


def model_key(lm: AnyModel) -> ModelKey:
    """The same for a model and its copies (other temperature, other rollout)."""
    return lm.model, str(lm.kwargs.get("api_base") or "")


def explain(role: str, lm: AnyModel, error: BaseException) -> JobFailed:
    """Makes a model's error the failure of the job; the first line is the cause."""
    kind = kind_of(error)
    base = public_url(lm.kwargs.get("api_base") or "")
    how = "could not be reached" if kind == UNREACHABLE else "failed"
    message = f"The {role} model {lm.model}{f' at {base}' if base else ''} {how}: {first_line(error)}"
    if kind == AUTHENTICATION and lm.kwargs.get("api_key", NO_KEY) == NO_KEY:
        message += (
            "\nNo API key came with this job for this endpoint. The service's own keys are sent only to a provider's "
            "own endpoint and to base URLs that its operator listed: name a key in the model config (extra.api_key, "
            "or keyFrom in a resource)."
        )
    elif kind in OF_ONE_REQUEST and "temperature" in str(error).lower():
        message += f"\nTo send it none, set the temperature of the {role} model to null (in a resource: none)."
    failure = JobFailed(REASONS[kind], message)
    failure.__cause__ = error
    return failure
