"""Requests of the Job controller and the node, straight to the API server that runs beside them.

The administrator's, without HTTP: no headers to read, nobody to identify. Objects travel as the bytes that are stored.
"""

from dspy_service_core.kube.errors import KubeError
from dspy_service_core.kube.protocol import KubeRequest, KubeResponse, Transport
from dspy_service_local.apiserver import refusals
from dspy_service_local.apiserver.http.answers import StreamedAnswer, refused
from dspy_service_local.apiserver.http.requests import Request
from dspy_service_local.apiserver.kinds.kinds import Kinds
from dspy_service_local.apiserver.object_api import ObjectApi
from dspy_service_local.apiserver.routes import Target

_AGENT = b"dspy-service-cluster"
"""The field manager of writes that name none."""


class InProcessTransport(Transport):
    def __init__(self, kinds: Kinds, api: ObjectApi) -> None:
        self._kinds = kinds
        self._api = api

    async def send(self, request: KubeRequest) -> KubeResponse:
        try:
            answer = await self._api.answer(_as_received(request), self._target(request))
        except KubeError as exc:
            answer = refused(exc)
        if isinstance(answer, StreamedAnswer):
            return KubeResponse(200, answer.pieces, bounded=True)
        return KubeResponse(answer.status, answer.body, bounded=True)

    def _target(self, request: KubeRequest) -> Target:
        kind = self._kinds.of(request.resource)
        if kind is None or (request.subresource and request.subresource not in kind.subresources):
            raise refusals.no_such_resource()
        namespace = (request.namespace or "") if kind.resource.namespaced else ""
        return Target(kind, namespace, request.name, request.subresource, request.verb == "watch")


def _as_received(request: KubeRequest) -> Request:
    headers = {b"user-agent": _AGENT, b"content-type": request.content_type.encode()}
    return Request(request.method, request.path, dict(request.query), headers, request.body or b"")
