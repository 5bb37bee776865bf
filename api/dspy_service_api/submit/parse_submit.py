"""Parses the body of `POST /run`, translates it into a spec and its credentials, and checks the spec by core's rules.

Small bodies are handled on the event loop, where they take milliseconds; larger bodies and sources go to a thread. The
only choices made here are those that the request left open: the seed, and the service's defaults for a run.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import orjson
from pydantic.json_schema import models_json_schema

from dspy_service_api.answers import catalogue
from dspy_service_api.jobs.record import Json
from dspy_service_api.settings import Settings
from dspy_service_api.submit.earlier_jobs import EarlierJobs, State, ids_of
from dspy_service_api.submit.job_objects import AcceptedRequest
from dspy_service_api.submit.outlook import outlook
from dspy_service_api.submit.request_spec import WORDS, decimal_text, translated
from dspy_service_core.checks import job_checks
from dspy_service_core.checks.job_checks import Installation
from dspy_service_core.checks.job_estimate import estimate_of
from dspy_service_core.checks.models import credentials
from dspy_service_core.code import source_text
from dspy_service_core.contract import request as payload
from dspy_service_core.contract.request import RunOptions, RunRequest
from dspy_service_core.contract.request_json import RequestLimits
from dspy_service_core.contract.request_size import Body
from dspy_service_core.errors import FieldProblem, InvalidRequest
from dspy_service_core.estimate.kept import kept
from dspy_service_core.optimizers.families.joined import PROGRAMS
from dspy_service_core.optimizers.family_table import family_of
from dspy_service_core.programs.joined import JoinedProgram
from dspy_service_core.programs.program_source import ProgramSource
from dspy_service_core.registry.packages import installed, of_our_image
from dspy_service_core.registry.registry import Registry, UnknownName
from dspy_service_core.resource import sources
from dspy_service_core.resource.spec.code import JoinedSource

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

    async def accept(self, body: Body, earlier: EarlierJobs) -> AcceptedRequest:
        if len(body) > self.settings.inline_body_bytes:
            large = await asyncio.to_thread(self._request, body)
            if self._takes(large):
                await asyncio.to_thread(self._check_own, large)
            return await asyncio.to_thread(self._accepted, large, await self._taken(large, earlier))
        request = self._request(body)
        if self._takes(request):
            await asyncio.to_thread(self._check_own, request)
        taken = await self._taken(request, earlier)
        if taken.joined is None and source_text.quick(*request.code.values(), *request.program_files.values()):
            return self._accepted(request, taken)
        return await asyncio.to_thread(self._accepted, request, taken)

    async def _taken(self, request: RunRequest, earlier: EarlierJobs) -> "_Taken":
        initial = await _initial(request, earlier)
        if not self._joins(request.optimizer_name):
            return _Taken(initial)
        return _Taken(initial, *await earlier.programs(request.optimizer_kwargs.get(PROGRAMS), "optimizer_kwargs"))

    def _takes(self, request: RunRequest) -> bool:
        """Whether it names earlier jobs."""
        begins = request.initial is not None and request.initial.job_id is not None
        return begins or self._joins(request.optimizer_name)

    def _check_own(self, request: RunRequest) -> None:
        """What can be told of a request before the jobs that it names are read: a read asks the store many times, and
        whoever sent what fails anyway is told of that first."""
        job = translated(request, self._run(request.run_options), self.draw)
        spec = job.spec
        if self._joins(request.optimizer_name):
            list(ids_of(request.optimizer_kwargs.get(PROGRAMS), f"optimizer_kwargs.{PROGRAMS}"))
            spec = spec.model_copy(update={"joined": JoinedSource()})  # there, and not read yet
        job_checks.check(spec, self._installation, job.contents, WORDS)

    def _joins(self, optimizer: str) -> bool:
        try:
            return family_of(self.registry.optimizers.resolve(optimizer).path).joins
        except UnknownName:
            return False  # the checks refuse it

    def _request(self, body: Body) -> RunRequest:
        given = self.settings
        return payload.parse_run_request(body, RequestLimits(given.most_values, given.most_rows, given.most_columns))

    def _accepted(self, request: RunRequest, taken: "_Taken") -> AcceptedRequest:
        if self.settings.refuse_credentials:
            _refuse_credentials(request)
        job = translated(request, self._run(request.run_options), self.draw)
        contents = replace(job.contents, initial=taken.initial, joined=taken.programs)
        checked = job_checks.check(job.spec, self._installation, contents, WORDS)
        return AcceptedRequest(
            spec=_named(job.json, checked.program),
            rows=request.dataset,
            outlook=lambda: outlook(request, job.spec, checked),
            initial=taken.initial,
            joined=taken.joined,
            labels=request.run_options.labels,
            withheld={role: orjson.dumps(withheld) for role, withheld in job.contents.withheld.items()},
            secrets=request.secrets,
            unknown_keys=request.unknown_fields,
            estimate=kept(estimate_of(job.spec, checked, checked.split_counts, request.metric_code))
            if checked.split_counts
            else "",
        )

    def assets(self) -> dict[str, list[str]]:
        return self.registry.registered_assets()

    def catalogue(self) -> Json:
        here = installed() if self.settings.jobs_run_here else of_our_image()
        return catalogue.catalogue(self.registry, self.registry.packages or here, WORDS)

    def request_schemas(self) -> dict[str, Any]:
        """Fields are named as clients write them, so `model_config` and not `default_model_config`."""
        _, schema = models_json_schema([(RunRequest, "validation")], ref_template="#/components/schemas/{model}")
        definitions: dict[str, Any] = schema["$defs"]
        return definitions

    @property
    def _installation(self) -> Installation:
        given = self.settings
        return Installation(self.registry, given.allowed_base_url_hosts, self.own_ports, given.most_threads)

    def _run(self, options: RunOptions) -> dict[str, Any]:
        def chosen(given: int | None, default: int) -> int:
            return default if given is None else given

        share = decimal_text(options.max_failed_rows)
        given = {
            "name": options.name,
            "note": options.note or None,
            "maxFailedRows": share,
            "require": options.require,
            "threads": options.threads,
            "hedge": options.hedge or None,
        }
        return {
            "priority": options.priority,
            "retries": chosen(options.retries, self.settings.default_retries),
            "deadlineSeconds": chosen(options.deadline_seconds, self.settings.default_deadline_seconds),
            "ttlSeconds": chosen(options.ttl_seconds, self.settings.default_ttl_seconds),
            **{name: value for name, value in given.items() if value is not None},
        }


@dataclass(frozen=True, slots=True)
class _Taken:
    """What a request takes from earlier jobs."""

    initial: State | None = None
    programs: list[JoinedProgram] | None = None
    joined: bytes | None = None
    """The same programs as JSON."""


def _named(spec: dict[str, Any], read: ProgramSource | None) -> dict[str, Any]:
    """The spec with the class of its program, where the request left it to be found: lists of jobs show it."""
    if read is None or not read.name:
        return spec
    return {**spec, sources.PROGRAM: {**spec[sources.PROGRAM], "name": read.name}}


async def _initial(request: RunRequest, earlier: EarlierJobs) -> State | None:
    given = request.initial
    if given is None or given.job_id is None:
        return given.program_state if given else None
    return await earlier.state(given.job_id, "initial.job_id")


def _refuse_credentials(request: RunRequest) -> None:
    paths = [
        path
        for role, model in request.models.items()
        for path in credentials.config_paths(
            {"base_url": model.base_url, "extra": model.extra}, RunRequest.model_field(role)
        )
    ]
    paths += [f"secrets.{name}" for name in request.secrets]
    if paths:
        text = "Credentials are refused by this service: leave them to its operator"
        raise InvalidRequest([FieldProblem(path, text, "credentials_refused") for path in paths])
