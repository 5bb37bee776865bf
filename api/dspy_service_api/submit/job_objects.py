"""Divides an accepted request between the resource, its Secret and the store. Pure.

A spec above 16 KiB moves first its rows and then its sources and files into one document in the store, because the
cluster's database rewrites the whole object at every status patch. A state to begin with and the programs of earlier
jobs always go there.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import orjson

from dspy_service_api.jobs.record import Json
from dspy_service_api.submit.earlier_jobs import EarlierJobs
from dspy_service_api.submit.outlook import Outlook
from dspy_service_core.contract.request_size import Body
from dspy_service_core.errors import UnusableRequest
from dspy_service_core.kube.protocol import Object
from dspy_service_core.resource import names, sources
from dspy_service_core.resource.job import MAX_SPEC_BYTES
from dspy_service_core.storage import pod_files
from dspy_service_core.storage.store import job_folder

_SUBMITTER_LENGTH = 256


@dataclass(frozen=True, slots=True)
class AcceptedRequest:
    """A request that passed all checks. `spec` is the resource's spec without the dataset; the rows are in `rows`."""

    spec: Mapping[str, Any]
    rows: list[Any]
    outlook: Callable[[], Outlook]
    """For a dry run; made only when it is asked for."""
    initial: Mapping[str, Any] | None = None
    """The program state that the job begins with."""
    joined: bytes | None = None
    """The programs of earlier jobs that it joins, as JSON."""
    labels: Mapping[str, str] = field(default_factory=dict)
    withheld: Mapping[str, Json] = field(default_factory=dict)
    """Encoded credentials by the model's role or name."""
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Variables of the job's code, by their names."""
    unknown_keys: tuple[str, ...] = ()
    estimate: str = ""
    """What the job will call, as JSON; empty where that is not known."""

    @property
    def kept_secret(self) -> Mapping[str, bytes]:
        """What goes into the job's Secret. Names of models are in small letters, those of secrets in capitals."""
        return dict(self.withheld) | {name: value.encode() for name, value in self.secrets.items()}


class Acceptance(Protocol):
    """The checks of a submit, and what the API shows of their knowledge."""

    async def accept(self, body: Body, earlier: EarlierJobs) -> AcceptedRequest:
        """`earlier`: what the body may take from other jobs. Raises `InvalidRequest` or `UnusableRequest`."""
        ...

    def assets(self) -> dict[str, list[str]]:
        """Aliases of modules and optimizers, as /health shows them."""
        ...

    def catalogue(self) -> Json:
        """The answer of /catalogue."""
        ...

    def request_schemas(self) -> dict[str, Any]:
        """JSON schemas of `RunRequest` and what it refers to, by name."""
        ...


@dataclass(frozen=True, slots=True)
class JobIdentity:
    job_id: str
    namespace: str
    submitted_at: str
    submitter: str = ""
    """The client's name in the cluster, where the API asked for one."""

    @property
    def name(self) -> str:
        return names.api_job(self.job_id)


@dataclass(frozen=True, slots=True)
class JobObjects:
    """Everything that is written for one job, in this order: the payload, the resource, the Secret that it owns."""

    name: str
    called: str
    """What people call it; empty where its request named it not."""
    folder: str
    payload: bytes | None
    resource: Object
    secret: Object | None

    @property
    def payload_key(self) -> str:
        return f"{self.folder}/{pod_files.PAYLOAD}"

    def with_digest(self, digest: str) -> "JobObjects":
        """`digest` of the request's body, where an Idempotency-Key came with it."""
        metadata = self.resource["metadata"]
        annotations = {**metadata["annotations"], names.ANNOTATION_REQUEST_DIGEST: digest}
        return replace(self, resource={**self.resource, "metadata": {**metadata, "annotations": annotations}})


def draft(accepted: AcceptedRequest, identity: JobIdentity) -> JobObjects:
    spec, payload = _fitted(_with_credentials(accepted, identity.name), accepted.rows, _stored(accepted))
    return JobObjects(
        name=identity.name,
        called=_called(spec),
        resource=_resource(spec, accepted, identity),
        secret=_secret(accepted.kept_secret, identity) if accepted.kept_secret else None,
        folder=job_folder(identity.namespace, identity.job_id),
        payload=payload,
    )


def owned(secret: Object, job: Object) -> Object:
    """The Secret with the job as its owner, so that the cluster removes both together."""
    reference = {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "name": job["metadata"]["name"],
        "uid": job["metadata"]["uid"],
    }
    return {**secret, "metadata": {**secret["metadata"], "ownerReferences": [reference]}}


def _with_credentials(accepted: AcceptedRequest, name: str) -> dict[str, Any]:
    secret = names.credentials_secret(name)
    changed = dict(accepted.spec)
    if accepted.secrets:
        changed["secrets"] = {variable: {"name": secret, "key": variable} for variable in accepted.secrets}
    for part in ("models", "modelConfigs"):
        for model, settings in changed.get(part, {}).items():
            if model in accepted.withheld:
                reference = {"credentialsFrom": {"name": secret, "key": model}}
                changed[part] = {**changed[part], model: {**settings, **reference}}
    return changed


def _stored(accepted: AcceptedRequest) -> Mapping[str, Any]:
    """What goes into the store however small it is, by the source's name."""
    joined = None if accepted.joined is None else orjson.Fragment(accepted.joined)
    given = {sources.INITIAL: accepted.initial, sources.JOINED: joined}
    return {name: value for name, value in given.items() if value is not None}


def _fitted(spec: dict[str, Any], rows: list[Any], stored: Mapping[str, Any]) -> tuple[dict[str, Any], bytes | None]:
    encoded = orjson.dumps(rows)
    room = MAX_SPEC_BYTES - len(orjson.dumps(spec)) - len(b',"dataset":{"rows":}')
    if len(encoded) <= room and not stored:
        return {**spec, "dataset": {"rows": rows}}, None
    moved = _sources(spec, stored) if room < _REFERENCE_BYTES or stored else {}
    document = _document(encoded, moved)
    digest = f"sha256:{hashlib.sha256(document).hexdigest()}"
    dataset = {"payload": {"digest": digest, "rows": len(rows), "bytes": len(document)}}
    given = spec | {name: {} for name in stored}
    rest = sources.with_sources(given, lambda _: {"payload": {"digest": digest}}) if moved else spec
    fitted = {**rest, "dataset": dataset}
    if (size := len(orjson.dumps(fitted))) > MAX_SPEC_BYTES:
        raise UnusableRequest(
            f"The request without its rows, sources and files takes {size} bytes, and {MAX_SPEC_BYTES} are allowed: "
            "use shorter kwargs, model settings, column mapping or paths of files."
        )
    return fitted, document


_REFERENCE_BYTES = 200
"""Bytes that a dataset takes in a spec when it is only a reference."""


def _sources(spec: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """The document's members beside the rows."""
    carried = sources.sources_of(spec)
    moved: dict[str, Any] = {source.name: source.code or "" for source in carried if source.file is None}
    if files := {source.file: source.code or "" for source in carried if source.file is not None}:
        moved[sources.FILES] = files
    return moved | dict(stored)


def _document(rows: Json, moved: Mapping[str, Any]) -> bytes:
    """The payload document. `rows` are encoded JSON already: they were encoded once to know their size. They come last,
    so that whoever looks for something else need not read them."""
    if not moved:
        return b'{"rows":%b}' % rows
    return b'%b,"rows":%b}' % (orjson.dumps(moved)[:-1], rows)


def _resource(spec: Mapping[str, Any], accepted: AcceptedRequest, identity: JobIdentity) -> Object:
    annotations = {names.ANNOTATION_SUBMITTED_AT: identity.submitted_at}
    if accepted.estimate:
        annotations[names.ANNOTATION_ESTIMATE] = accepted.estimate
    if identity.submitter:
        annotations[names.ANNOTATION_SUBMITTER] = identity.submitter[:_SUBMITTER_LENGTH]
    called = {names.LABEL_NAME: name} if (name := _called(spec)) else {}
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {
            "name": identity.name,
            "namespace": identity.namespace,
            "labels": {**accepted.labels, **called, names.LABEL_SUBMITTED_BY: names.SUBMITTED_BY_API},
            "annotations": annotations,
        },
        "spec": spec,
    }


def _called(spec: Mapping[str, Any]) -> str:
    return str((spec.get("run") or {}).get("name") or "")


def _secret(kept: Mapping[str, bytes], identity: JobIdentity) -> Object:
    """It has no label of model keys, so that no other job can name it by `keyFrom`."""
    labels = names.child_labels(identity.name)
    metadata = {"name": names.credentials_secret(identity.name), "namespace": identity.namespace, "labels": labels}
    data = {key: base64.b64encode(value).decode() for key, value in kept.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data}
