"""A cluster that knows one user, who may create jobs and read some of them."""

import orjson

from dspy_service_core.kube.protocol import KubeRequest, KubeResponse, Object, Transport
from dspy_service_core.kube.resources import TOKEN_REVIEWS


class Reviewer(Transport):
    """Lets everybody create jobs, and read those that are in `readable`."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.readable: set[str] = set()

    async def send(self, request: KubeRequest) -> KubeResponse:
        if "Review" not in request.resource.kind:
            return await self._inner.send(request)
        body = orjson.loads(request.body or b"")
        if request.resource is TOKEN_REVIEWS:
            status: Object = {"authenticated": True, "user": {"username": "jane", "groups": []}}
        else:
            wanted = body["spec"]["resourceAttributes"]
            status = {"allowed": wanted["verb"] == "create" or wanted.get("name") in self.readable}
        return KubeResponse(201, orjson.dumps(body | {"status": status}))
