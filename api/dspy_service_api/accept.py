"""A request's body becomes what may be run, by core's rules: parsed, checked, its credentials taken out.

It happens on the event loop where it takes milliseconds, and in a thread where the body or its sources are larger.
Decides nothing of its own but what the request left open: the drawn seed, and the service's settings for a run.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic.json_schema import models_json_schema

from dspy_service_api.layout import Accepted
from dspy_service_api.settings import Settings
from dspy_service_core import checks, credentials, payload, source_text
from dspy_service_core.credentials import Split
from dspy_service_core.errors import FieldProblem, InvalidRequest
from dspy_service_core.payload import ModelSettings, RunOptions, RunRequest
from dspy_service_core.payload_json import Limits
from dspy_service_core.payload_size import Body
from dspy_service_core.registry import Registry

_SEEDS = 2**31


def draw_seed() -> int:
    return random.SystemRandom().randrange(_SEEDS)


@dataclass(frozen=True, slots=True)
class CoreAcceptance:
    registry: Registry
    settings: Settings
    draw: Callable[[], int] = draw_seed
    own_ports: frozenset[int] = frozenset()

    @classmethod
    def from_settings(cls, settings: Settings) -> "CoreAcceptance":
        return cls(Registry.load(settings.registry), settings, own_ports=frozenset(map(int, settings.own_ports)))

    async def accept(self, body: Body) -> Accepted:
        if len(body) > self.settings.inline_body_bytes:
            return await asyncio.to_thread(lambda: self._accepted(self._request(body)))
        request = self._request(body)
        if source_text.quick(request.signature_code, request.metric_code):
            return self._accepted(request)
        return await asyncio.to_thread(self._accepted, request)

    def _request(self, body: Body) -> RunRequest:
        given = self.settings
        return payload.parse_run_request(body, Limits(given.most_values, given.most_rows, given.most_columns))

    def _accepted(self, request: RunRequest) -> Accepted:
        if self.settings.refuse_credentials:
            _refuse_credentials(request)
        checks.check(checks.request_input(request), self.registry, self.settings.allowed_base_url_hosts, self.own_ports)
        models = {role: _split(model) for role, model in request.models.items()}
        return Accepted(
            spec=self._spec(request, {role: split.public for role, split in models.items()}),
            rows=request.dataset,
            labels=request.run_options.labels,
            withheld={role: orjson.dumps(split.withheld) for role, split in models.items() if split.withheld},
            unknown_keys=request.unknown_fields,
        )

    def assets(self) -> dict[str, list[str]]:
        return self.registry.registered_assets()

    def request_schemas(self) -> dict[str, Any]:
        """As clients write it: by alias."""
        _, schema = models_json_schema([(RunRequest, "validation")], ref_template="#/components/schemas/{model}")
        definitions: dict[str, Any] = schema["$defs"]
        return definitions

    def _spec(self, request: RunRequest, models: dict[str, dict[str, Any]]) -> dict[str, Any]:
        fractions = request.split_fractions
        return {
            "module": {"name": request.module_name, "kwargs": request.module_kwargs},
            "optimizer": {
                "name": request.optimizer_name,
                "kwargs": request.optimizer_kwargs,
                "compileKwargs": request.compile_kwargs,
            },
            "signature": {"code": request.signature_code},
            "metric": {"code": request.metric_code},
            "columns": {"inputs": request.column_mapping.inputs, "outputs": request.column_mapping.outputs},
            "split": {
                "train": _decimal(fractions.train),
                "val": _decimal(fractions.val),
                "test": _decimal(fractions.test),
                "shuffle": request.shuffle,
                "seed": self.draw() if request.seed is None else request.seed,
            },
            "models": models,
            "run": self._run(request.run_options),
        }

    def _run(self, options: RunOptions) -> dict[str, int]:
        def chosen(given: int | None, default: int) -> int:
            return default if given is None else given

        return {
            "priority": options.priority,
            "retries": chosen(options.retries, self.settings.default_retries),
            "deadlineSeconds": chosen(options.deadline_seconds, self.settings.default_deadline_seconds),
            "ttlSeconds": chosen(options.ttl_seconds, self.settings.default_ttl_seconds),
        }


def _split(model: ModelSettings) -> Split:
    """The public part in the resource's words."""
    split = credentials.withhold({"base_url": model.base_url, "extra": model.extra})
    public = {
        "name": model.name,
        "baseUrl": split.public["base_url"],
        "modelType": model.model_type,
        "temperature": _decimal(model.temperature),
        "maxTokens": model.max_tokens,
        "topP": _decimal(model.top_p),
        "extra": _public_extra(split),
    }
    return Split({key: value for key, value in public.items() if value is not None}, split.withheld)


def _public_extra(split: Split) -> dict[str, Any] | None:
    """None, so absent, where nothing is left of it."""
    extra = split.public["extra"]
    return extra if isinstance(extra, dict) and extra else None


def _refuse_credentials(request: RunRequest) -> None:
    problems = [
        FieldProblem(path, "Credentials are refused by this service: leave them to its operator", "credentials_refused")
        for role, model in request.models.items()
        for path in credentials.config_paths(
            {"base_url": model.base_url, "extra": model.extra}, RunRequest.MODEL_FIELDS[role]
        )
    ]
    if problems:
        raise InvalidRequest(problems)


def _decimal(value: float | None) -> str | None:
    """Kubernetes' conventions ask for strings."""
    return None if value is None else repr(float(value))
