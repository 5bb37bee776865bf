"""Faults between a client and its API server: requests that never arrive, answers that are lost, refused or late,
watches that are cut."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace

import orjson

from dspy_service_core.kube import errors
from dspy_service_core.kube.protocol import KubeRequest, KubeResponse, Transport
from dspy_service_core.kube.resources import Resource

Fault = Callable[[KubeRequest], Exception | None]
"""What becomes of a request. An error of `kube.errors` is what the server answers, but for `Unavailable`: that one, and
whatever else it is, comes of the way there or back. None: all goes well."""


def no_fault(request: KubeRequest) -> Exception | None:
    return None


async def no_delay(request: KubeRequest) -> None:
    return


class FaultyTransport(Transport):
    """`before` is for requests that then take no effect, `after` for those that took it and whose answer is lost,
    `during` cuts what is answered in pieces before the next of them; an answer comes once `delay` is over."""

    def __init__(self, inner: Transport) -> None:
        self.inner = inner
        self.requests: list[KubeRequest] = []
        self.before: Fault = no_fault
        self.after: Fault = no_fault
        self.during: Fault = no_fault
        self.delay: Callable[[KubeRequest], Awaitable[None]] = no_delay
        self.closed = False

    async def send(self, request: KubeRequest) -> KubeResponse:
        self.requests.append(request)
        if error := self.before(request):
            return _failed(error)
        response = await self.inner.send(request)
        await self.delay(request)
        if error := self.after(request):
            return _failed(error)
        if isinstance(response.content, bytes):
            return response
        return replace(response, content=self._cut(request, response.content))

    async def close(self) -> None:
        self.closed = True

    async def _cut(self, request: KubeRequest, content: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        async with aclosing(content) as pieces:
            async for piece in pieces:
                if error := self.during(request):
                    raise error
                yield piece


def fails(verb: str, resource: Resource, error: Exception) -> Fault:
    return lambda request: error if (request.verb, request.resource) == (verb, resource) else None


class Defect:
    """So many times in a row, an error that nobody is prepared for."""

    def __init__(self, verb: str, resource: Resource, times: int = 1) -> None:
        self.left = times
        self._about = (verb, resource)

    def __call__(self, request: KubeRequest) -> Exception | None:
        if not self.left or (request.verb, request.resource) != self._about:
            return None
        self.left -= 1
        return RuntimeError(f"a defect in {request.verb} of {request.about}")


def refusal(error: errors.KubeError) -> KubeResponse:
    """As a server answers it."""
    status = {"message": error.message, "reason": type(error).__name__, "code": error.code, **error.status}
    return KubeResponse(error.code, orjson.dumps(status))


def _failed(error: Exception) -> KubeResponse:
    if isinstance(error, errors.KubeError) and not isinstance(error, errors.Unavailable):
        return refusal(error)
    raise error
