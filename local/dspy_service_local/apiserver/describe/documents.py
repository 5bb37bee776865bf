"""Everything that describes the server rather than an object: discovery, versions, OpenAPI."""

import hashlib
from typing import Any

import orjson

from dspy_service_local.apiserver import refusals
from dspy_service_local.apiserver.describe import discovery, openapi
from dspy_service_local.apiserver.http.answers import Answer, answered
from dspy_service_local.apiserver.http.requests import Request
from dspy_service_local.apiserver.kinds.kinds import Kinds


class Documents:
    """OpenAPI documents are made when first asked for, and again when the kinds have changed."""

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds
        self._made: dict[str, bytes] = {}
        self._generation = -1

    def answer(self, request: Request) -> Answer:
        parts = request.path.strip("/").split("/")
        found: dict[str, Any] | None = None
        if parts == ["version"]:
            found = discovery.VERSION
        elif parts == ["api"]:
            found = discovery.api_versions()
        elif parts == ["apis"]:
            found = discovery.groups(self._kinds)
        elif parts[0] == "apis" and len(parts) == 2:
            found = discovery.group(self._kinds, parts[1])
        elif parts[0] == "apis" and len(parts) == 3:
            found = discovery.resources(self._kinds, parts[1], parts[2])
        elif parts[0] == "api" and len(parts) == 2:
            found = discovery.resources(self._kinds, "", parts[1])
        elif parts[:2] == ["openapi", "v3"]:
            return self._openapi("/".join(parts[2:]))
        if found is None:
            raise refusals.no_such_resource()
        return answered(found)

    def _openapi(self, path: str) -> Answer:
        documents = self._documents()
        if not path:
            return answered({"paths": {at: {"serverRelativeURL": _url(at, body)} for at, body in documents.items()}})
        if path not in documents:
            raise refusals.no_such_resource()
        return Answer(200, documents[path])

    def _documents(self) -> dict[str, bytes]:
        if self._generation != self._kinds.generation:
            self._made = {
                openapi.path_of(group, version): orjson.dumps(openapi.document(kinds))
                for (group, version), kinds in self._kinds.versions().items()
            }
            self._generation = self._kinds.generation
        return self._made


def _url(path: str, body: bytes) -> str:
    """The hash lets clients cache a document for as long as it is the same."""
    return f"/openapi/v3/{path}?hash={hashlib.sha256(body).hexdigest()[:32].upper()}"
