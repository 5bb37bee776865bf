"""Checks what a job needs before its first attempt: a valid spec, and the Secrets and ConfigMaps that it names.

The spec's checks are those of a submit (in core), so that a job made with kubectl is refused for the same reasons. Rows
and code in the store were checked by the API before it put them there; the pod checks all of it once more.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from dspy_service_core.checks.job_checks import Contents
from dspy_service_core.code import source_text
from dspy_service_core.contract import program_files
from dspy_service_core.errors import UnusableRequest
from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.errors import NotFound
from dspy_service_core.kube.resources import CONFIG_MAPS, SECRETS
from dspy_service_core.resource import names
from dspy_service_core.resource.job import OptimizationJobSpec
from dspy_service_core.resource.sources import ConfigMapKey, Source
from dspy_service_core.rows.rows import Row, UnusableRows, checked, read_rows
from dspy_service_operator.decide import references
from dspy_service_operator.decide.observed import Prerequisites
from dspy_service_operator.pod.model_keys import SecretReference, secret_references
from dspy_service_operator.settings import OperatorSettings
from dspy_service_operator.watch.view import first_problem

Rows = list[Row]
Check = Callable[[OptimizationJobSpec, Contents], object]
"""Raises `UnusableRequest`."""

LONGEST_NAME = 59
"""A label's value has at most 63 characters, and the name of an attempt's Job is this name and `-<attempt>`."""


class _Missing(Exception):
    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class PrerequisiteCheck:
    def __init__(self, client: KubeClient, check: Check, settings: OperatorSettings) -> None:
        self._client = client
        self._check = check
        self._settings = settings

    async def look(self, raw: Mapping[str, Any]) -> Prerequisites:
        """`raw` is the resource as the API server holds it, rows and code included."""
        metadata = raw["metadata"]
        if problem := name_problem(metadata):
            return Prerequisites(invalid=problem)
        try:
            spec = OptimizationJobSpec.model_validate(raw["spec"])
            if problem := references.problem(metadata, spec, self._settings):
                return Prerequisites(invalid=problem)
            await self._check_content(spec, metadata)
            await self._check_secrets(spec, metadata)
        except _Missing as exc:
            return Prerequisites(missing_reason=exc.reason, missing=str(exc))
        except (UnusableRequest, UnusableRows) as exc:
            return Prerequisites(invalid=str(exc))
        except ValidationError as exc:
            return Prerequisites(invalid=first_problem(exc))
        return Prerequisites()

    async def _check_content(self, spec: OptimizationJobSpec, metadata: Mapping[str, Any]) -> None:
        """Long sources are checked in a thread, so that other jobs are handled meanwhile."""
        config_maps = _ConfigMaps(self._client, spec, metadata)
        rows, texts = await self._rows(spec, config_maps), await self._texts(spec, config_maps)
        code = {source.name: text for source, text in texts if source.file is None}
        contents = Contents(rows, code, {source.file: text for source, text in texts if source.file is not None})
        if source_text.quick(*contents.code.values(), *contents.files.values()):
            self._check(spec, contents)
        else:
            await asyncio.to_thread(self._check, spec, contents)

    async def _rows(self, spec: OptimizationJobSpec, config_maps: "_ConfigMaps") -> Rows | None:
        if (key := spec.dataset.config_map_key) is None:
            return spec.dataset.rows
        text = await config_maps.text("spec.dataset", key)
        return await asyncio.to_thread(_parsed, key.key, text)

    async def _texts(self, spec: OptimizationJobSpec, config_maps: "_ConfigMaps") -> list[tuple[Source, str]]:
        """The sources that are not in the store, each with its text."""
        texts, of_files = [], 0
        for source in spec.sources():
            if source.config_map_key is not None:
                texts.append((source, await config_maps.text(source.path, source.config_map_key)))
            elif source.code is not None:
                texts.append((source, source.code))
            if source.file is not None and source.payload_digest is None:
                of_files += len(texts[-1][1].encode())
            if why := program_files.too_large(of_files):
                raise UnusableRequest(f"spec.program.files: {why}.")
        return texts

    async def _check_secrets(self, spec: OptimizationJobSpec, metadata: Mapping[str, Any]) -> None:
        for wanted in secret_references(spec, metadata["name"]):
            name = wanted.ref.name
            try:
                secret = await self._client.get(SECRETS, name, metadata.get("namespace", ""))
            except NotFound:
                raise _Missing("SecretNotFound", f"{wanted.path}: there is no Secret '{name}'.") from None
            if not wanted.own and (problem := references.foreign_key(secret, wanted.ref)):
                raise UnusableRequest(f"{wanted.path}: {problem}")
            if problem := _secret_problem(secret, wanted, metadata["uid"]):
                raise _Missing("SecretNotUsable", f"{wanted.path}: {problem}")


class _ConfigMaps:
    """The ConfigMaps that one spec names. Each is fetched once, and only what the spec names of it is kept: a program's
    64 files may be in one, or in as many."""

    def __init__(self, client: KubeClient, spec: OptimizationJobSpec, metadata: Mapping[str, Any]) -> None:
        self._client = client
        self._metadata = metadata
        self._fetched: dict[str, Mapping[str, Any]] = {}
        named = [source.config_map_key for source in spec.sources()] + [spec.dataset.config_map_key]
        self._wanted = {key for key in named if key is not None}

    async def text(self, field: str, ref: ConfigMapKey) -> str:
        path = f"{field}.configMapKeyRef"
        if ref.name not in self._fetched:
            self._fetched[ref.name] = await self._fetch(path, ref.name)
        if ref.key not in (data := self._fetched[ref.name]):
            raise _Missing("ConfigMapNotUsable", f"{path}: ConfigMap '{ref.name}' has no text under '{ref.key}'.")
        return str(data[ref.key])

    async def _fetch(self, path: str, name: str) -> Mapping[str, Any]:
        try:
            config_map = await self._client.get(CONFIG_MAPS, name, self._metadata.get("namespace", ""))
        except NotFound:
            raise _Missing("ConfigMapNotFound", f"{path}: there is no ConfigMap '{name}'.") from None
        if problem := references.foreign_config(config_map, name, self._metadata["uid"]):
            raise UnusableRequest(f"{path}: {problem}")
        data = config_map.get("data") or {}
        return {key: data[key] for key in data if ConfigMapKey(name, key) in self._wanted}


def _parsed(key: str, text: str) -> Rows:
    return list(checked(read_rows(key, text.encode())))


def name_problem(metadata: Mapping[str, Any]) -> str:
    """Only the API may give the names of its own jobs, because HTTP clients find a job by them."""
    name, labels = metadata["name"], metadata.get("labels") or {}
    from_api = labels.get(names.LABEL_SUBMITTED_BY) == names.SUBMITTED_BY_API
    if names.is_bare_uuid(name) or (names.is_api_name(name) and not from_api):
        return f"metadata.name: '{name}' is a name of the HTTP API's own jobs; choose another."
    if len(name) > LONGEST_NAME:
        return (
            f"metadata.name: longer than {LONGEST_NAME} characters, which the names of its attempts have no room for."
        )
    return ""


def _secret_problem(secret: Mapping[str, Any], wanted: SecretReference, uid: str) -> str:
    """Problems that may go away: somebody may add the label or key, and the API replaces what an earlier job has
    left."""
    name, key = wanted.ref.name, wanted.ref.key
    if wanted.own and not references.is_own(secret, uid):
        return f"Secret '{name}' belongs to another job than this one."
    if not wanted.own and (secret["metadata"].get("labels") or {}).get(names.LABEL_MODEL_KEY) != "true":
        return f"Secret '{name}' lacks the label {names.LABEL_MODEL_KEY}: 'true', which makes it usable by jobs."
    if key not in (secret.get("data") or {}):
        return f"Secret '{name}' has no key '{key}'."
    return ""
