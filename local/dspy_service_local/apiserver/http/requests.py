"""What an HTTP request says beyond its path: body, options, and the form of answer that it accepts."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import yaml

from dspy_service_core import nesting
from dspy_service_local.apiserver import refusals
from dspy_service_local.apiserver.http import protobuf
from dspy_service_local.apiserver.objects.operations import Guard, Options
from dspy_service_local.apiserver.routes import Target

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_MOST_BYTES = 3 * 1024 * 1024
"""The API server's own limit of a request body."""
_YAML = ("application/yaml", "application/apply-patch+yaml")
_JSON = ("application/json", "")


@dataclass(slots=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[bytes, bytes]
    body: bytes = b""
    receive: Receive | None = field(default=None, repr=False)

    @property
    def media_type(self) -> str:
        return self.headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()

    @property
    def wants_table(self) -> bool:
        return b"as=Table" in self.headers.get(b"accept", b"")

    @property
    def manager(self) -> str:
        """Kubernetes takes the first part of the user agent where no field manager is given."""
        agent = self.headers.get(b"user-agent", b"unknown").decode("latin-1")
        return self.query.get("fieldManager") or agent.partition("/")[0]


async def read_body(receive: Receive) -> bytes:
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > _MOST_BYTES:
            raise refusals.too_large(f"the request body is larger than the limit of {_MOST_BYTES} bytes")
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def options_of(request: Request, target: Target, guard: Guard | None) -> Options:
    query = request.query
    if query.get("dryRun", "All") != "All":
        raise refusals.bad_request(f'invalid dryRun "{query["dryRun"]}": only All is supported')
    validation = query.get("fieldValidation") or "Warn"
    if validation not in ("Strict", "Warn", "Ignore"):
        raise refusals.bad_request(f'invalid fieldValidation "{validation}": one of Ignore, Strict, Warn')
    return Options(
        dry_run="dryRun" in query,
        field_manager=request.manager,
        field_validation=validation,
        subresource=target.subresource,
        guard=guard,
    )


def parsed_body(request: Request) -> Any:
    """JSON, or what else the media type says."""
    media_type = request.media_type
    if media_type == protobuf.MEDIA_TYPE:
        return protobuf.decode(request.body)
    try:
        value = orjson.loads(request.body)
    except orjson.JSONDecodeError as exc:
        if media_type in _YAML:
            return _bounded(_yaml(request.body))
        raise refusals.bad_request(f"the request body is not valid JSON: {exc}") from exc
    if nesting.may_be_deep(request.body):
        _bounded(value)
    if request.query.get("fieldValidation") == "Strict":
        _refuse_duplicates(request.body)
    return value


class _PlainYaml(yaml.SafeLoader):
    """Without aliases: a few lines of them stand for more than any machine holds."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not taken")
        return super().compose_node(parent, index)


def _yaml(body: bytes) -> Any:
    try:
        return yaml.load(body, _PlainYaml)
    except yaml.YAMLError as exc:
        raise refusals.bad_request(f"the request body is not valid YAML: {exc}") from exc
    except RecursionError as exc:
        raise refusals.bad_request("the request body is not valid YAML: it is nested too deeply") from exc


def _bounded(value: Any) -> Any:
    """A real API server takes 10,000 levels. Here every object is what all of our own code can read and write."""
    if path := nesting.deep_path(value, nesting.CUT_DEPTH, "body"):
        raise refusals.bad_request(f"{path} is nested too deeply: more than {nesting.CUT_DEPTH} levels")
    return value


def _refuse_duplicates(body: bytes) -> None:
    """Strict validation refuses a key that occurs twice, which the fast parser does not see."""
    repeated: list[str] = []

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            keys = [key for key, _ in pairs]
            repeated.extend(key for key in made if keys.count(key) > 1)
        return made

    json.loads(body, object_pairs_hook=collect)
    if repeated:
        listed = ", ".join(f'duplicate field "{key}"' for key in repeated)
        raise refusals.bad_request(f"strict decoding error: {listed}")
