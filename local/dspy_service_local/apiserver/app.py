"""The API server's HTTP face as a bare ASGI application: identify, route, call the operation, answer its bytes."""

import logging
from typing import Any

from dspy_service_core.kube import errors
from dspy_service_local.apiserver import refusals
from dspy_service_local.apiserver.auth.authorize import guard_of
from dspy_service_local.apiserver.auth.reviews import Bench, is_review, reviewed
from dspy_service_local.apiserver.auth.token_requests import SUBRESOURCE as TOKEN, requested_token
from dspy_service_local.apiserver.auth.tokens import Identity, PodIdentity, TokenStore
from dspy_service_local.apiserver.describe.documents import Documents
from dspy_service_local.apiserver.http.answers import TEXT, Answer, StreamedAnswer, answered, refused
from dspy_service_local.apiserver.http.requests import Receive, Request, Scope, Send, parsed_body, read_body
from dspy_service_local.apiserver.object_api import ObjectApi
from dspy_service_local.apiserver.objects.operations import Operations
from dspy_service_local.apiserver.routes import Target, query_of, target_of

log = logging.getLogger(__name__)

_HEALTH = ("/healthz", "/livez", "/readyz")


class App:
    def __init__(self, operations: Operations, tokens: TokenStore, objects: ObjectApi) -> None:
        self._operations = operations
        self._tokens = tokens
        self._objects = objects
        self._documents = Documents(operations.kinds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            answer = await self._answer(_request(scope, receive))
        except errors.KubeError as exc:
            answer = refused(exc)
        except ConnectionResetError:
            return
        except Exception:  # one request's fault is a 500 for its client, never the server's end
            log.exception("%s %s", scope["method"], scope["path"])
            answer = refused(refusals.failure(500, "InternalError", "Internal error occurred"))
        if isinstance(answer, StreamedAnswer):
            await answer.send(receive, send)
        else:
            await answer.send(send)

    async def _answer(self, request: Request) -> Answer | StreamedAnswer:
        if request.path in _HEALTH:
            return Answer(200, b"ok", TEXT)
        authorization = request.headers.get(b"authorization", b"")
        identity = self._tokens.identify(authorization, self._operations.clock())
        if identity is None:
            raise refusals.unauthorized()
        target = None if request.path.startswith("/openapi") else self._target(request)
        if target is None:
            return await self._other(request, identity)
        guard = guard_of(self._operations.storage, identity, request.method, target)
        if target.subresource == TOKEN:
            return await self._token(request, target)
        return await self._objects.answer(request, target, guard)

    def _target(self, request: Request) -> Target | None:
        if request.method == "POST" and is_review(request.path):
            return None
        return target_of(self._operations.kinds, request.path, request.query)

    async def _other(self, request: Request, identity: Identity) -> Answer:
        """Discovery, OpenAPI and reviews; none of them for pods."""
        if isinstance(identity, PodIdentity):
            raise refusals.failure(403, "Forbidden", f'the pod\'s token cannot {request.method} path "{request.path}"')
        if request.method == "POST" and is_review(request.path):
            bench = Bench(self._operations, self._tokens, identity)
            return answered(reviewed(request.path, await _body(request), bench), 201)
        if request.method not in ("GET", "HEAD"):
            raise refusals.method_not_allowed()
        return self._documents.answer(request)

    async def _token(self, request: Request, target: Target) -> Answer:
        if request.method != "POST":
            raise refusals.method_not_allowed()
        return answered(requested_token(self._operations, self._tokens, target, await _body(request)), 201)


async def _body(request: Request) -> Any:
    assert request.receive is not None
    request.body = await read_body(request.receive)
    return parsed_body(request)


def _request(scope: Scope, receive: Receive) -> Request:
    return Request(
        scope["method"], scope["path"], query_of(scope["query_string"]), dict(scope["headers"]), receive=receive
    )
